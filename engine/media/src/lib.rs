//! engine/media
