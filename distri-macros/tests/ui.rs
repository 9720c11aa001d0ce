//! What the compiler says about the mistakes that people make: one file each, named after the
//! mistake. After a change that is meant, `TRYBUILD=overwrite cargo test -p distri-macros --test ui`
//! writes the `.stderr` files anew; read the difference.

#[test]
fn each_mistake_is_told_once_at_its_token_with_what_to_write() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
