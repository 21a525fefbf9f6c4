//! egui's triangles as pixels, on the processor: enough for a picture, and no graphics card or window is needed.

use egui::epaint::{ClippedPrimitive, Mesh, Primitive, Vertex};
use egui::{Color32, ImageData, Rect, TextureId, TexturesDelta};
use std::collections::HashMap;

/// A picture: premultiplied sRGB, as egui blends it.
pub struct Canvas {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// Rows from the top.
    pub pixels: Vec<[f32; 4]>,
    textures: HashMap<TextureId, Texture>,
}

struct Texture {
    size: [usize; 2],
    texels: Vec<Color32>,
}

impl Texture {
    /// Bilinear, clamped at the edges, 0..=1 in both directions.
    fn sample(&self, u: f32, v: f32) -> [f32; 4] {
        let [width, height] = self.size;
        let (x, y) = (u * width as f32 - 0.5, v * height as f32 - 0.5);
        let (left, top) = (x.floor(), y.floor());
        let (fx, fy) = (x - left, y - top);
        let texel = |dx: f32, dy: f32| {
            let column = (left + dx).clamp(0.0, width as f32 - 1.0) as usize;
            let row = (top + dy).clamp(0.0, height as f32 - 1.0) as usize;
            self.texels[row * width + column].to_array().map(f32::from)
        };
        let [a, b, c, d] = [texel(0.0, 0.0), texel(1.0, 0.0), texel(0.0, 1.0), texel(1.0, 1.0)];
        std::array::from_fn(|i| {
            ((a[i] * (1.0 - fx) + b[i] * fx) * (1.0 - fy) + (c[i] * (1.0 - fx) + d[i] * fx) * fy) / 255.0
        })
    }
}

impl Canvas {
    /// A black picture.
    pub fn new(width: usize, height: usize) -> Self {
        Self { width, height, pixels: vec![[0.0, 0.0, 0.0, 1.0]; width * height], textures: HashMap::new() }
    }

    /// Takes in new and changed textures.
    pub fn update(&mut self, delta: &TexturesDelta) {
        for (id, delta) in delta.set.iter().flat_map(|(id, deltas)| deltas.iter().map(move |delta| (id, delta))) {
            let ImageData::Color(image) = &delta.image;
            let [width, height] = image.size;
            match delta.pos {
                None => {
                    self.textures.insert(*id, Texture { size: image.size, texels: image.pixels.clone() });
                }
                Some([x, y]) => {
                    let Some(texture) = self.textures.get_mut(id) else { continue };
                    for row in 0..height {
                        let to = (y + row) * texture.size[0] + x;
                        texture.texels[to..to + width].copy_from_slice(&image.pixels[row * width..(row + 1) * width]);
                    }
                }
            }
        }
    }

    /// Paints what egui tessellated.
    pub fn paint(&mut self, primitives: &[ClippedPrimitive], pixels_per_point: f32) {
        for ClippedPrimitive { clip_rect, primitive } in primitives {
            if let Primitive::Mesh(mesh) = primitive {
                self.mesh(mesh, *clip_rect, pixels_per_point);
            }
        }
    }

    fn mesh(&mut self, mesh: &Mesh, clip: Rect, scale: f32) {
        let Some(texture) = self.textures.remove(&mesh.texture_id) else { return };
        let bounds = [
            (clip.min.x * scale).round().max(0.0),
            (clip.min.y * scale).round().max(0.0),
            (clip.max.x * scale).round().min(self.width as f32),
            (clip.max.y * scale).round().min(self.height as f32),
        ];
        for corner in mesh.indices.chunks_exact(3) {
            let [a, b, c] = [0, 1, 2].map(|i| mesh.vertices[corner[i] as usize]);
            self.triangle([a, b, c], &texture, bounds, scale);
        }
        self.textures.insert(mesh.texture_id, texture);
    }

    fn triangle(&mut self, corners: [Vertex; 3], texture: &Texture, bounds: [f32; 4], scale: f32) {
        let [a, b, c] = corners.map(|corner| [corner.pos.x * scale, corner.pos.y * scale]);
        let area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]);
        if area == 0.0 {
            return;
        }
        let from = |axis: usize| a[axis].min(b[axis]).min(c[axis]).floor().max(bounds[axis]) as usize;
        let to = |axis: usize| a[axis].max(b[axis]).max(c[axis]).ceil().min(bounds[axis + 2]).max(0.0) as usize;
        for y in from(1)..to(1) {
            for x in from(0)..to(0) {
                let p = [x as f32 + 0.5, y as f32 + 0.5];
                let edge = |u: [f32; 2], v: [f32; 2]| (v[0] - u[0]) * (p[1] - u[1]) - (v[1] - u[1]) * (p[0] - u[0]);
                let weights = [edge(b, c) / area, edge(c, a) / area, edge(a, b) / area];
                // An edge shared by two triangles belongs to one of them; which, its direction says.
                let inside = [(b, c), (c, a), (a, b)].iter().zip(weights).all(|((u, v), weight)| {
                    let owns = (v[1] > u[1] || (v[1] == u[1] && v[0] < u[0])) == (area > 0.0);
                    weight > 0.0 || (weight == 0.0 && owns)
                });
                if inside {
                    self.blend(x, y, &corners, weights, texture);
                }
            }
        }
    }

    fn blend(&mut self, x: usize, y: usize, corners: &[Vertex; 3], weights: [f32; 3], texture: &Texture) {
        let mix = |value: fn(&Vertex) -> f32| corners.iter().zip(weights).map(|(v, w)| value(v) * w).sum::<f32>();
        let texel = texture.sample(mix(|v| v.uv.x), mix(|v| v.uv.y));
        let tint = [
            mix(|v| f32::from(v.color.r())),
            mix(|v| f32::from(v.color.g())),
            mix(|v| f32::from(v.color.b())),
            mix(|v| f32::from(v.color.a())),
        ];
        let source: [f32; 4] = std::array::from_fn(|i| texel[i] * tint[i] / 255.0);
        let pixel = &mut self.pixels[y * self.width + x];
        *pixel = std::array::from_fn(|i| source[i] + pixel[i] * (1.0 - source[3]));
    }

    /// Rows from the top, red, green, blue.
    pub fn rgb(&self) -> Vec<u8> {
        let byte = |value: f32| (value * 255.0).round().clamp(0.0, 255.0) as u8;
        self.pixels.iter().flat_map(|[r, g, b, _]| [byte(*r), byte(*g), byte(*b)]).collect()
    }
}
