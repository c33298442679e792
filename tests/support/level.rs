//! The test level. By default each promise is tested with a covering subset of the combinations that could break it, with
//! `cargo xtask test --all` with all of them. `docs/testing.md` has the list.

/// The variable by which `cargo xtask test --all` requests all combinations.
const VARIABLE: &str = "STREAMBP_TEST_ALL";

/// Does this run test all combinations?
pub fn is_exhaustive() -> bool {
    std::env::var_os(VARIABLE).is_some_and(|value| !value.is_empty())
}

/// By default every `of`-th item from the `number`-th on: successive numbers take different items, and `of` of them take all. With `--all`,
/// all items.
pub fn share<T>(items: impl IntoIterator<Item = T>, of: usize, number: usize) -> Vec<T> {
    if is_exhaustive() { items.into_iter().collect() } else { nth_share(items, of, number) }
}

fn nth_share<T>(items: impl IntoIterator<Item = T>, of: usize, number: usize) -> Vec<T> {
    items.into_iter().skip(number % of).step_by(of).collect()
}

#[test]
fn successive_shares_have_every_item_once() {
    let mut all: Vec<u32> = (3..6).flat_map(|number| nth_share(0..10, 3, number)).collect();
    all.sort_unstable();
    assert_eq!(all, (0..10).collect::<Vec<u32>>());
}
