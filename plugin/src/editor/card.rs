//! The card of a performance, shown beside its name: how it sounds, who plays, and where.

use egui::load::SizedTexture;
use egui::{ColorImage, Context, Id, Image, RichText, TextureHandle, TextureOptions, Ui};
use ripieno_engine::draw::Picture;
use ripieno_engine::inference::locations;
use ripieno_engine::synth::{Catalogue, Performance};

use super::theme;

const WIDTH: f32 = 320.0;

/// Draws the card where the pointer rests.
pub fn show(ui: &mut Ui, performance: &Performance) {
    ui.set_max_width(WIDTH);
    if let Some(texture) = texture(ui.ctx(), performance) {
        let size = texture.size_vec2();
        ui.add(Image::from_texture(SizedTexture::new(&texture, size * (WIDTH / size.x))));
    }
    ui.label(RichText::new(&performance.description).font(theme::body()).color(theme::TEXT_SOFT));
    for line in [&performance.players.join("  \u{2022}  "), &performance.room, &performance.licence] {
        ui.label(RichText::new(line).font(theme::small()).color(theme::TEXT_FAINT));
    }
}

/// The picture, read once per editor. None without its file: the words are enough then.
fn texture(context: &Context, performance: &Performance) -> Option<TextureHandle> {
    let id = Id::unique(("card", &performance.id));
    if let Some(known) = context.data(|data| data.get_temp::<Option<TextureHandle>>(id)) {
        return known;
    }
    let picture = locations::find_models().ok().and_then(|m| Picture::read(&Catalogue::picture(&m, performance)));
    let loaded = picture.map(|Picture { width, height, rgba }| {
        let image = ColorImage::from_rgba_premultiplied([width, height], &rgba);
        context.load_texture(&performance.id, image, TextureOptions::LINEAR)
    });
    context.data_mut(|data| data.insert_temp(id, loaded.clone()));
    loaded
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::menu;

    #[test]
    fn every_performance_has_a_picture_of_its_own() {
        let models = locations::find_models().unwrap();
        let mut seen = Vec::new();
        for performance in menu::performances() {
            let path = Catalogue::picture(&models, performance);
            let picture = Picture::read(&path).unwrap_or_else(|| panic!("{} is no picture", path.display()));
            assert!(picture.width > 400 && picture.rgba.len() == 4 * picture.width * picture.height);
            assert!(!seen.contains(&picture.rgba), "{} looks like another", performance.id);
            seen.push(picture.rgba);
        }
    }
}
