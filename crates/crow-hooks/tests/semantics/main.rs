//! The rules of the engine, one module per concept. Each rule is tested on the contract below.

mod cancel;
mod contract;
mod depth;
mod dynamic;
mod errors;
mod historic;
mod monitors;
mod order;
mod panics;
mod plugins;
mod registry;
mod results;
mod specs;
mod stress;
mod time;
mod wrappers;
