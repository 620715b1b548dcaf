//! A straight line learned from points that come one by one; the older ones are forgotten.

/// What is kept of the past at each point: half of it is forgotten in about 35.
const MEMORY: f64 = 0.98;
/// A point so many times above the line was held up by something else.
const OUTLIER: f64 = 2.0;
/// Points before the line is trusted so far.
const TRUSTED: u32 = 8;
/// How much of the mean the slope may explain: the rest is what stands at zero.
const MOST_SLOPE: f64 = 0.95;

/// A cost in seconds, as it grows with something.
#[derive(Debug)]
pub(super) struct Line {
    /// How little `x` may vary before the slope is not learned from it, squared.
    stiffness: f64,
    /// Whether the first point is on a line through zero, or on a level one.
    through_zero: bool,
    seen: u32,
    slope: f64,
    weight: f64,
    mean_x: f64,
    mean_y: f64,
    variance: f64,
    covariance: f64,
}

impl Line {
    fn new(least_spread: f64, through_zero: bool) -> Self {
        Self {
            stiffness: least_spread * least_spread,
            through_zero,
            seen: 0,
            slope: 0.0,
            weight: 0.0,
            mean_x: 0.0,
            mean_y: 0.0,
            variance: 0.0,
            covariance: 0.0,
        }
    }

    /// A line that goes through zero, until it is known better.
    pub(super) fn through_zero(least_spread: f64) -> Self {
        Self::new(least_spread, true)
    }

    /// A level line, until it is known better.
    pub(super) fn level(least_spread: f64) -> Self {
        Self::new(least_spread, false)
    }

    /// At `x` it was `y`; a point of twice the weight counts twice.
    pub(super) fn observe(&mut self, x: f64, mut y: f64, weight: f64) {
        if self.seen >= TRUSTED {
            y = y.min(self.at(x) * OUTLIER);
        }
        if self.seen == 0 && self.through_zero && x > 0.0 {
            self.slope = y / x;
        }
        self.seen = self.seen.saturating_add(1);
        self.weight = self.weight * MEMORY + weight;
        let share = weight / self.weight;
        let off = x - self.mean_x;
        self.mean_x += off * share;
        self.mean_y += (y - self.mean_y) * share;
        self.variance += (off * (x - self.mean_x) - self.variance) * share;
        self.covariance += (off * (y - self.mean_y) - self.covariance) * share;
        // As long as all points are alike, nothing new is learned of the slope.
        self.slope = (self.covariance + self.stiffness * self.slope) / (self.variance + self.stiffness);
        let steepest = if self.mean_x > 0.0 { MOST_SLOPE * self.mean_y / self.mean_x } else { 0.0 };
        self.slope = self.slope.clamp(0.0, steepest.max(0.0));
    }

    /// So many points were not seen.
    pub(super) fn forget(&mut self, points: u32) {
        self.weight *= MEMORY.powi(points.try_into().unwrap_or(i32::MAX));
    }

    /// Whether anything was seen.
    pub(super) const fn known(&self) -> bool {
        self.seen > 0
    }

    pub(super) const fn slope(&self) -> f64 {
        self.slope
    }

    /// What it is expected to be at `x`.
    pub(super) fn at(&self, x: f64) -> f64 {
        (self.mean_y + self.slope * (x - self.mean_x)).max(0.0)
    }

    /// How far one gets from `x` on with so much, if every step costs what it does there.
    pub(super) fn reach(&self, x: f64, with: f64) -> f64 {
        // The area under the line: at·n + slope·n²/2 = with.
        let (at, with) = (self.at(x).max(1e-12), with.max(0.0));
        2.0 * with / (at + (at * at + 2.0 * self.slope * with).sqrt())
    }

    /// What `n` steps from `x` on cost together.
    pub(super) fn cost(&self, x: f64, n: f64) -> f64 {
        n * self.at(x + n / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_found_in_its_points() {
        let mut line = Line::level(1.0);
        for step in 0..200 {
            let x = f64::from([1, 8, 9, 40, 64, 3][step % 6]);
            line.observe(x, 4.0 + 2.0 * x, 1.0);
        }
        assert!((line.at(0.0) - 4.0).abs() < 0.1 && (line.slope() - 2.0).abs() < 0.1, "{line:?}");
    }

    #[test]
    fn reach_and_cost_agree() {
        let mut line = Line::level(1.0);
        (0..100).for_each(|x| line.observe(f64::from(x), 3.0 + 0.5 * f64::from(x), 1.0));
        for with in [1.0, 10.0, 1000.0] {
            let n = line.reach(20.0, with);
            assert!((line.cost(20.0, n) - with).abs() < 1e-6 * with, "{n} steps for {with}");
        }
    }

    #[test]
    fn points_that_are_all_alike_teach_no_slope() {
        let mut line = Line::through_zero(1.0);
        (0..1000).for_each(|_| line.observe(8.0, 84.0, 1.0));
        assert!(line.slope() <= 84.0 / 8.0 && line.slope() > 9.0, "{line:?}");
    }

    #[test]
    fn one_hiccup_changes_little() {
        let mut line = Line::through_zero(1.0);
        (1..100).for_each(|x| line.observe(f64::from(x % 10), f64::from(x % 10), 1.0));
        line.observe(5.0, 5000.0, 1.0);
        assert!((line.at(5.0) - 5.0).abs() < 0.5, "{line:?}");
    }
}
