//! Which seeds are run, and how one is run again.

use std::path::Path;

/// The variable that says which seeds are run instead of the suite's: `17` or `1..200`, the last
/// included.
const SEED: &str = "DISTRI_SEED";

/// The seeds that were asked for; else those of the suite.
pub(super) fn asked_for(suite: impl IntoIterator<Item = u64>) -> Box<dyn Iterator<Item = u64>> {
    match std::env::var(SEED) {
        Ok(asked) => Box::new(parse(&asked).unwrap_or_else(|| {
            panic!("{SEED} is `{asked}`, expected a number as in 17, or a range as in 1..200")
        })),
        Err(_) => Box::new(suite.into_iter().collect::<Vec<_>>().into_iter()),
    }
}

fn parse(asked: &str) -> Option<std::ops::RangeInclusive<u64>> {
    let (first, last) = asked.split_once("..").unwrap_or((asked, asked));
    let last = last.strip_prefix('=').unwrap_or(last);
    Some(first.trim().parse().ok()?..=last.trim().parse().ok()?)
}

/// The command that runs this test again with `seed`.
pub(super) fn command(seed: u64) -> String {
    let package = std::env::var("CARGO_PKG_NAME").ok();
    let thread = std::thread::current();
    let program = std::env::current_exe().ok();
    let target = program.as_deref().and_then(target);
    line(seed, package.as_deref(), target, thread.name())
}

/// The name of a test's target: its program's, without the hash that Cargo appends.
fn target(program: &Path) -> Option<&str> {
    let stem = program.file_stem()?.to_str()?;
    Some(stem.rsplit_once('-').map_or(stem, |(name, _)| name))
}

fn line(seed: u64, package: Option<&str>, target: Option<&str>, test: Option<&str>) -> String {
    let mut line = format!("{SEED}={seed} cargo test");
    if let Some(package) = package {
        line += &format!(" -p {package}");
        match target {
            Some(target) if target == package.replace('-', "_") => line += " --lib",
            Some(target) => line += &format!(" --test {target}"),
            None => {}
        }
    }
    match test {
        // A test that runs alone (`--test-threads=1`) runs in the main thread.
        None | Some("main") => {}
        Some(test) => line += &format!(" -- --include-ignored --exact {test}"),
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_one_or_a_range_with_both_ends() {
        assert_eq!(parse("17"), Some(17..=17));
        assert_eq!(parse("1..200"), Some(1..=200));
        assert_eq!(parse("1..=200"), Some(1..=200));
        assert_eq!(parse("many"), None);
    }

    #[test]
    fn the_command_names_package_target_and_test() {
        let program = Path::new("/target/debug/deps/counting-0123456789abcdef");

        assert_eq!(
            line(
                17,
                Some("turnstile"),
                target(program),
                Some("nobody_is_counted_twice")
            ),
            "DISTRI_SEED=17 cargo test -p turnstile --test counting -- --include-ignored --exact \
             nobody_is_counted_twice"
        );
        assert_eq!(
            line(
                17,
                Some("my-service"),
                Some("my_service"),
                Some("tests::one")
            ),
            "DISTRI_SEED=17 cargo test -p my-service --lib -- --include-ignored --exact tests::one"
        );
        assert_eq!(line(17, None, None, None), "DISTRI_SEED=17 cargo test");
    }
}
