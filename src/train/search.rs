//! A search for the largest number whose memory fits into a budget.

/// The largest number with a peak of at most `budget` bytes, between one that fits, with its peak, and a larger one that does not, with its
/// peak if it has one: what cannot be bound has none. Bytes grow about evenly over long stretches, so every other number is guessed; guesses
/// alone could come closer from one side only.
pub(super) fn largest_within(budget: u64, mut fits: (u32, u64), mut over: (u32, Option<u64>), peak: impl Fn(u32) -> Option<u64>) -> u32 {
    let mut is_guessed = true;
    while over.0 - fits.0 > 1 {
        let middle = match over.1.filter(|_| is_guessed) {
            Some(bytes) => {
                let share = (budget - fits.1) as f64 / (bytes.max(fits.1 + 1) - fits.1) as f64;
                (fits.0 + (f64::from(over.0 - fits.0) * share) as u32).clamp(fits.0 + 1, over.0 - 1)
            }
            None => fits.0 + (over.0 - fits.0) / 2,
        };
        is_guessed = !is_guessed;
        match peak(middle) {
            Some(bytes) if bytes <= budget => fits = (middle, bytes),
            bytes => over = (middle, bytes),
        }
    }
    fits.0
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn it_finds_the_last_number_that_fits_in_a_few_steps() {
        let even = |number: u32| 1000 + 7 * u64::from(number);
        let in_steps = |number: u32| 1000 + 448 * u64::from(number.div_ceil(64)) + if number > 5000 { 1_000_000 } else { 0 };
        for bytes in [&even as &dyn Fn(u32) -> u64, &in_steps] {
            for budget in [1000, 1448, 20_000, 36_440, 60_000] {
                let asked = Cell::new(0);
                let peak = |number| {
                    asked.set(asked.get() + 1);
                    Some(bytes(number))
                };
                let found = largest_within(budget, (0, bytes(0)), (100_000, Some(bytes(100_000))), peak);
                assert!(bytes(found) <= budget && bytes(found + 1) > budget, "{found} in {budget}");
                assert!(asked.get() <= 34, "{} numbers", asked.get());
            }
        }
        let bindable = |number| (number < 777).then_some(1);
        assert_eq!(largest_within(9, (0, 1), (1 << 20, None), bindable), 776);
    }
}
