//! Every variant under every lock does what a plain map says it should, over random
//! sequences of operations; a failing sequence is shrunk.

mod common;

#[test]
fn every_variant_agrees_with_a_map() {
    common::every_variant_under_every_lock(&common::oracle::Follows);
}
