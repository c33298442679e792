//! The scale of a chart of memory with a budget.

use super::scale::Scale;

/// Room above the peak, as a share of it.
const HEADROOM: f64 = 1.2;
/// Room above the budget's line, as a share of the budget.
const ABOVE_BUDGET: f64 = 1.08;
/// A budget of so many peaks or more would press the picture flat.
const FAR: f64 = 2.5;

/// Where a budget stands in a chart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum BudgetPlace {
    /// At a share of the chart's height.
    At(f64),
    /// Above the chart.
    Above,
}

impl BudgetPlace {
    /// Where the budget stands on a scale.
    pub fn on(scale: &Scale, budget: u64) -> BudgetPlace {
        let budget = budget as f64;
        if budget > scale.high() { BudgetPlace::Above } else { BudgetPlace::At(scale.share(budget)) }
    }
}

/// A scale with room for the peak, and for the budget unless that is far above.
pub fn memory_scale(peak: u64, budget: Option<u64>) -> Scale {
    let peak = peak as f64;
    let budget = budget.map(|budget| budget as f64).filter(|&budget| budget < FAR * peak);
    Scale::bytes((HEADROOM * peak).max(ABOVE_BUDGET * budget.unwrap_or(0.0)) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_stands_where_it_is_or_above_the_chart() {
        const MIB: u64 = 1 << 20;
        let place = |peak: u64, budget: u64| BudgetPlace::on(&memory_scale(peak * MIB, Some(budget * MIB)), budget * MIB);
        let share_of_peak = |peak: u64, budget: u64| memory_scale(peak * MIB, Some(budget * MIB)).share((peak * MIB) as f64);
        for (peak, budget) in [(15, 5), (15, 15), (15, 20), (15, 37)] {
            let BudgetPlace::At(share) = place(peak, budget) else { panic!("{budget} of {peak}") };
            // As high above the ground as it has bytes, on the scale of the peak.
            assert!((share / share_of_peak(peak, budget) - budget as f64 / peak as f64).abs() < 1e-6 && share < 0.95);
        }
        assert_eq!(place(15, 64), BudgetPlace::Above);
        assert!((share_of_peak(15, 64) - 1.0 / HEADROOM).abs() < 1e-6, "the picture is as high as without a budget");
        assert_eq!(memory_scale(15, None), memory_scale(15, Some(1)));
    }
}
