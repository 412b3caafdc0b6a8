//! One fuzzing target a parser: its name is that of the program being built.
#![no_main]

mod parsers;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let name = env!("CARGO_BIN_NAME");
    let parser = parsers::PARSERS.iter().find(|(known, _, _)| *known == name);
    (parser.expect("a target for each parser").1)(data);
});
