//! What every target has in common: the cap on memory, and libFuzzer's way in.

use std::alloc::System;

use cap::Cap;

/// What one input may have allocated at a time. libFuzzer's own cap works only with a sanitizer, which this has none of.
const MAX_INPUT_BYTES: usize = 64 << 20;

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

/// Runs `parse` under the cap: an allocation beyond it fails, which ends the process and keeps the input.
pub fn limited(parse: fn(&[u8]), bytes: &[u8]) {
    ALLOCATOR.set_limit(ALLOCATOR.allocated().saturating_add(MAX_INPUT_BYTES)).expect("more than what is in use");
    parse(bytes);
    ALLOCATOR.set_limit(usize::MAX).expect("more than what is in use");
}

macro_rules! target {
    ($name:ident) => {
        libfuzzer_sys::fuzz_target!(|bytes: &[u8]| target::limited(passbook_fuzz::$name, bytes));
    };
}
