//! The statistics of the perf suite.

/// How far from the quartiles a sample may lie, in distances of the quartiles, before it is an outlier.
const FENCE: f64 = 1.5;

/// Samples and what they say.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Summary {
    /// The least of the samples that are no outliers, and the largest.
    pub(crate) min: f64,
    pub(crate) q1: f64,
    pub(crate) median: f64,
    pub(crate) q3: f64,
    pub(crate) max: f64,
    /// In order, like the samples.
    pub(crate) outliers: Vec<f64>,
    pub(crate) samples: Vec<f64>,
}

impl Summary {
    /// Of samples in any order; of none, everything is 0.
    pub(crate) fn of(mut samples: Vec<f64>) -> Self {
        samples.sort_by(f64::total_cmp);
        let (q1, median, q3) = (at(&samples, 0.25), at(&samples, 0.5), at(&samples, 0.75));
        let reach = FENCE * (q3 - q1);
        let within = q1 - reach..=q3 + reach;
        let (inside, outliers): (Vec<_>, Vec<_>) = samples.iter().partition(|sample| within.contains(sample));
        // The quartiles themselves are inside, so that of some samples some are.
        let (min, max) = (inside.first().copied(), inside.last().copied());
        Self { min: min.unwrap_or(0.0), q1, median, q3, max: max.unwrap_or(0.0), outliers, samples }
    }
}

/// The value at a share of sorted samples, between the two that are nearest.
fn at(sorted: &[f64], share: f64) -> f64 {
    let place = share * sorted.len().saturating_sub(1) as f64;
    let sample = |place: f64| sorted.get(place as usize).copied().unwrap_or(0.0);
    let (below, above) = (sample(place.floor()), sample(place.ceil()));
    below + (above - below) * place.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_are_interpolated() {
        let summary = Summary::of(vec![4.0, 1.0, 3.0, 2.0]);
        assert_eq!((summary.q1, summary.median, summary.q3), (1.75, 2.5, 3.25));
        assert_eq!((summary.min, summary.max), (1.0, 4.0));
        assert_eq!(summary.samples, [1.0, 2.0, 3.0, 4.0]);
        assert!(summary.outliers.is_empty());
    }

    #[test]
    fn outliers_are_neither_the_least_nor_the_largest() {
        let summary = Summary::of(vec![10.0, 11.0, 12.0, 13.0, 14.0, 100.0, -50.0]);
        // Quartiles 10.5 and 13.5: what lies outside of 6 to 18.
        assert_eq!((summary.q1, summary.q3), (10.5, 13.5));
        assert_eq!(summary.outliers, [-50.0, 100.0]);
        assert_eq!((summary.min, summary.max), (10.0, 14.0));
        assert_eq!(summary.samples.len(), 7);
    }

    #[test]
    fn a_sample_on_the_fence_is_no_outlier() {
        // Quartiles 1 and 2 of these five; the fence is at 3.5.
        let summary = Summary::of(vec![0.5, 1.0, 1.5, 2.0, 3.5]);
        assert_eq!((summary.q1, summary.q3), (1.0, 2.0));
        assert!(summary.outliers.is_empty());
        assert_eq!(summary.max, 3.5);
    }

    #[test]
    fn one_sample_and_none() {
        let one = Summary::of(vec![7.0]);
        assert_eq!((one.min, one.q1, one.median, one.q3, one.max), (7.0, 7.0, 7.0, 7.0, 7.0));
        let none = Summary::of(Vec::new());
        assert_eq!((none.min, none.median, none.max, none.samples.len()), (0.0, 0.0, 0.0, 0));
    }
}
