//! What the metrics say at one moment, by their public names: for those who show them elsewhere than in Prometheus, so that a
//! figure has one name wherever it is seen. Reads and never counts.

use prometheus::proto::{Metric, MetricFamily};

use super::Metrics;

/// The figures of one moment.
#[derive(Debug)]
pub struct Figures(Vec<MetricFamily>);

impl Metrics {
    /// Every figure as it is now.
    pub fn figures(&self) -> Figures {
        self.look_at_process();
        Figures(self.registry.gather())
    }
}

impl Figures {
    fn series(&self, name: &str) -> &[Metric] {
        let family = self.0.iter().find(|family| family.name() == name);
        family.map_or(&[], MetricFamily::get_metric)
    }

    /// All series of a counter or a gauge that `takes` accepts by its label, together; 0 where there is none.
    pub fn sum(&self, name: &str, takes: impl Fn(&str) -> bool) -> f64 {
        self.series(name).iter().filter(|metric| takes(label(metric))).map(value).sum()
    }

    /// A counter or a gauge.
    pub fn value(&self, name: &str) -> i64 {
        whole(self.sum(name, |_| true))
    }

    /// A counter's series by their label, in its order; those that counted nothing are left out.
    pub fn by_label(&self, name: &str) -> Vec<(String, i64)> {
        let series = self.series(name).iter().map(|metric| (label(metric).to_owned(), whole(value(metric))));
        series.filter(|(_, count)| *count > 0).collect()
    }

    /// A histogram: the upper bounds of its buckets, and how many observations each of them and the last, unbounded one hold
    /// together with those below.
    pub fn histogram(&self, name: &str) -> (Vec<f64>, Vec<i64>) {
        let Some(histogram) = self.series(name).first().map(Metric::get_histogram) else { return Default::default() };
        let buckets = histogram.get_bucket().iter().filter(|bucket| bucket.upper_bound().is_finite());
        let (bounds, mut counts): (Vec<_>, Vec<_>) =
            buckets.map(|bucket| (bucket.upper_bound(), count(bucket.cumulative_count()))).unzip();
        // Buckets and count are read one after the other while checks continue: the last is never below the one before.
        let all = count(histogram.get_sample_count());
        counts.push(all.max(counts.last().copied().unwrap_or_default()));
        (bounds, counts)
    }
}

/// The value of the one label that families have.
fn label(metric: &Metric) -> &str {
    metric.get_label().first().map_or("", |pair| pair.value())
}

/// A series is either; the other is zero.
fn value(metric: &Metric) -> f64 {
    metric.get_counter().get_value() + metric.get_gauge().get_value()
}

fn count(of: u64) -> i64 {
    i64::try_from(of).unwrap_or(i64::MAX)
}

#[expect(clippy::cast_possible_truncation, reason = "counts and instants in milliseconds are far below 2^53")]
fn whole(value: f64) -> i64 {
    value as i64
}
