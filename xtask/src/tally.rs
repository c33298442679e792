//! Sums the reports of test runners.

use std::fmt;
use std::ops::AddAssign;

/// The numbers of passed, failed and skipped tests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub passed: usize,
    pub failed: usize,
    pub skipped: usize,
}

impl Tally {
    /// The tally of a run that aborted before it reported.
    pub const BROKEN: Tally = Tally { passed: 0, failed: 1, skipped: 0 };

    /// Reads a line of output. Only summary lines of cargo test or of node's test runner count.
    pub fn read(&mut self, line: &str) {
        if let Some(result) = line.strip_prefix("test result: ") {
            result.split([';', '.']).for_each(|count| self.add_cargo_count(count));
        } else if let Some(count) = line.strip_prefix("ℹ ") {
            self.add_node_count(count);
        }
    }

    /// `12 passed`
    fn add_cargo_count(&mut self, count: &str) {
        let Some((number, word)) = count.trim().split_once(' ') else { return };
        let Ok(number) = number.parse::<usize>() else { return };
        match word {
            "passed" => self.passed += number,
            "failed" => self.failed += number,
            "ignored" => self.skipped += number,
            _ => {}
        }
    }

    /// `pass 12`
    fn add_node_count(&mut self, count: &str) {
        let Some((word, number)) = count.trim().split_once(' ') else { return };
        let Ok(number) = number.parse::<usize>() else { return };
        match word {
            "pass" => self.passed += number,
            "fail" | "cancelled" => self.failed += number,
            "skipped" | "todo" => self.skipped += number,
            _ => {}
        }
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Tally) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        // Skipped tests come first, so that the last line always has the same form.
        if self.skipped > 0 {
            writeln!(out, "{} skipped", self.skipped)?;
        }
        write!(out, "{} passed, {} failed", self.passed, self.failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_runners_are_understood() {
        let mut tally = Tally::default();
        let output = "test ops::rope ... ok\n\
            test result: ok. 12 passed; 0 failed; 3 ignored; 0 measured; 7 filtered out; finished in 1.20s\n\
            test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n\
            ✔ trains (12.3ms)\n\
            ℹ tests 8\nℹ suites 2\nℹ pass 5\nℹ fail 1\nℹ cancelled 1\nℹ skipped 1\nℹ todo 0\nℹ duration_ms 75.29";
        output.lines().for_each(|line| tally.read(line));
        assert_eq!(tally, Tally { passed: 18, failed: 4, skipped: 4 });
        assert_eq!(tally.to_string(), "4 skipped\n18 passed, 4 failed");
    }

    #[test]
    fn what_tests_print_is_not_counted() {
        let mut tally = Tally::default();
        "12 passed\npass 3\nrunning 5 tests\nthread 'a' panicked: 3 failed".lines().for_each(|line| tally.read(line));
        assert_eq!(tally.to_string(), "0 passed, 0 failed");
    }

    #[test]
    fn tallies_add_up() {
        let mut tally = Tally { passed: 2, failed: 0, skipped: 1 };
        tally += Tally::BROKEN;
        assert_eq!(tally, Tally { passed: 2, failed: 1, skipped: 1 });
    }
}
