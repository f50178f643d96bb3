//! What the compiler says about a `#[testcase]` that is wrong. Right ones, `ui/pass`, are programs of the
//! workspace's own build: here they would have everything built once more.
//!
//! After a change of the messages: `TRYBUILD=overwrite cargo test -p xenrt --test ui`, and look.

#[test]
fn wrong_uses_are_explained_where_they_stand() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/ui/fail/*.rs");
}
