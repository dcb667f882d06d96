#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| doorward_fuzz::gateway_call::check(input));
