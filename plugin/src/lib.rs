//! The plug-in.
