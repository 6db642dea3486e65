//! *metrics*: figures of plugins, for the server's own.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::context::CallContext;

/// Figures that plugins have set.
#[derive(Debug, Default)]
pub(crate) struct Metrics(Mutex<BTreeMap<Key, Value>>);

/// The plugin, the name, the labels.
type Key = (String, String, Vec<(String, String)>);

#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Value {
    count: u64,
    sum: f64,
}

/// A figure of a plugin.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct PluginMetric {
    /// The plugin.
    pub plugin: String,
    /// The name that the plugin gave it.
    pub name: String,
    /// Labels, as key and value.
    pub labels: Vec<(String, String)>,
    /// How often something was added or observed.
    pub count: u64,
    /// The sum of it.
    pub sum: f64,
}

/// Series of one plugin: each name with each set of labels is one.
const SERIES_MAX: usize = 256;

/// Labels of one series.
const LABELS_MAX: usize = 8;

/// The longest name, label or value of a label, in bytes.
const NAME_MAX: usize = 64;

impl Metrics {
    /// Adds to a series; what is one too many, or too long, or no number, is left out.
    fn add(&self, plugin: &str, name: &str, value: f64, mut labels: Vec<(String, String)>) {
        let long = |text: &str| text.is_empty() || text.len() > NAME_MAX;
        let odd = labels
            .iter()
            .any(|(key, value)| long(key) || value.len() > NAME_MAX);
        if long(name) || odd || labels.len() > LABELS_MAX || !value.is_finite() {
            return;
        }
        labels.sort();
        let key = (plugin.to_owned(), name.to_owned(), labels);
        let mut series = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !series.contains_key(&key) {
            let own = series.keys().filter(|(other, ..)| other == plugin).count();
            if own >= SERIES_MAX {
                return;
            }
        }
        let entry = series.entry(key).or_default();
        entry.count += 1;
        entry.sum += value;
    }

    /// All series, by plugin and name.
    pub(crate) fn all(&self) -> Vec<PluginMetric> {
        let series = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let metric = |((plugin, name, labels), value): (&Key, &Value)| PluginMetric {
            plugin: plugin.clone(),
            name: name.clone(),
            labels: labels.clone(),
            count: value.count,
            sum: value.sum,
        };
        series.iter().map(metric).collect()
    }
}

impl CallContext {
    /// Adds to a figure. Needs no permission.
    pub(crate) fn add_metric(&self, name: &str, value: f64, labels: Vec<(String, String)>) {
        let plugin = &self.allowance.plugin;
        self.services().metrics.add(plugin, name, value, labels);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_series_too_many_is_left_out() {
        let metrics = Metrics::default();
        for n in 0..=SERIES_MAX {
            metrics.add("a", &format!("n{n}"), 1.0, Vec::new());
        }
        assert_eq!(metrics.all().len(), SERIES_MAX);
        metrics.add("b", "n", 2.0, Vec::new());
        metrics.add("b", "n", 3.0, Vec::new());
        metrics.add("b", "n", f64::NAN, Vec::new());
        metrics.add("b", &"x".repeat(NAME_MAX + 1), 1.0, Vec::new());
        let all = metrics.all();
        let last = all.last().expect("b has one");
        assert_eq!((all.len(), last.count, last.sum), (SERIES_MAX + 1, 2, 5.0));
    }
}
