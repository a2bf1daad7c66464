//! What the compiler says to somebody who makes a mistake. The texts are pinned in `ui/*.stderr`;
//! `TRYBUILD=overwrite cargo test -p crow-hooks --test ui` writes them anew, to be read before they are committed.

#[test]
fn mistakes_are_explained() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
