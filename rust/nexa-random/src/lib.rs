//! Random numbers by counter: record i of a dataset, or row i of an epoch, draws the same numbers whoever asks, in whatever
//! order, on however many threads.
//!
//! A [`Stream`] is a key; [`Stream::block`] gives four 32-bit words at a counter. Nothing here has a state.

mod augment;
mod classification;
mod mixup;
mod normal;
mod philox;
mod walk;

pub use augment::{add_noise, drop_features, scale_features};
pub use classification::{Classification, Shape};
pub use mixup::Mixup;
pub use normal::fill_normal;
pub use philox::{Stream, philox4x32};
