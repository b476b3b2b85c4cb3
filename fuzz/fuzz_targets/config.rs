#![no_main]

#[path = "../target.rs"]
#[macro_use]
mod target;

target!(config);
