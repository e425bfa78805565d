//! Families as text: OpenMetrics 1.0, and from it Prometheus' older text, in which the lines about a counter name its samples.

use std::borrow::Cow;
use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::{Family, Histogram, Kind, Value};

/// What the library adds to the name of a counter by itself.
const COUNTER_END: &str = "_total";

/// The text of all families, in their order.
pub fn render(families: Vec<Family>) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Families(families)));
    let mut rendered = String::new();
    // a String takes whatever is written
    let _ = text::encode(&mut rendered, &registry);
    rendered
}

/// The same for readers of Prometheus' text 0.0.4, to whom a counter's name has its end everywhere, and whose text has none.
pub fn render_prometheus(families: Vec<Family>) -> String {
    let text = render(families);
    let mut older = String::with_capacity(text.len() + text.len() / 8);
    let mut help = "";
    for line in text.lines().filter(|line| *line != "# EOF") {
        // its kind stands in the line after it
        if line.starts_with("# HELP ") {
            help = line;
            continue;
        }
        let counter = line.strip_prefix("# TYPE ").and_then(|rest| rest.strip_suffix(" counter"));
        let lines = match counter {
            Some(name) => {
                let told = help.strip_prefix("# HELP ").and_then(|rest| rest.strip_prefix(name));
                let told = told.unwrap_or_default();
                [
                    format!("# HELP {name}{COUNTER_END}{told}").into(),
                    format!("# TYPE {name}{COUNTER_END} counter").into(),
                ]
            }
            None => [Cow::Borrowed(std::mem::take(&mut help)), Cow::Borrowed(line)],
        };
        help = "";
        for line in lines.iter().filter(|line| !line.is_empty()) {
            older.push_str(line);
            older.push('\n');
        }
    }
    older
}

#[derive(Debug)]
struct Families(Vec<Family>);

impl Collector for Families {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for family in &self.0 {
            let (kind, name) = match family.kind {
                Kind::Counter => (MetricType::Counter, family.name.trim_end_matches(COUNTER_END)),
                Kind::Gauge => (MetricType::Gauge, family.name.as_ref()),
                Kind::Histogram => (MetricType::Histogram, family.name.as_ref()),
            };
            let mut encoder = encoder.encode_descriptor(name, family.help, None, kind)?;
            for sample in &family.samples {
                let labels: Vec<(&str, Cow<'_, str>)> =
                    sample.labels.iter().map(|(name, value)| (*name, escaped(value))).collect();
                if labels.is_empty() {
                    encode(&mut encoder, family.kind, &sample.value)?;
                } else {
                    encode(&mut encoder.encode_family(&labels)?, family.kind, &sample.value)?;
                }
            }
        }
        Ok(())
    }
}

fn encode(encoder: &mut MetricEncoder<'_>, kind: Kind, value: &Value) -> fmt::Result {
    match (kind, value) {
        (Kind::Counter, Value::Count(count)) => encoder.encode_counter::<NoLabelSet, _, f64>(count, None),
        (Kind::Counter, Value::Real(real)) => encoder.encode_counter::<NoLabelSet, _, f64>(real, None),
        (Kind::Gauge, Value::Count(count)) => encoder.encode_gauge(&(*count).min(i64::MAX as u64)),
        (Kind::Gauge, Value::Real(real)) => encoder.encode_gauge(real),
        (_, Value::Times(times)) => encode_times(encoder, times),
        (Kind::Histogram, _) => Ok(()),
    }
}

fn encode_times(encoder: &mut MetricEncoder<'_>, times: &Histogram) -> fmt::Result {
    let bound = |bound: Option<std::time::Duration>| bound.map_or(f64::MAX, |bound| bound.as_secs_f64());
    let buckets: Vec<(f64, u64)> = times.buckets().map(|(upper, count)| (bound(upper), count)).collect();
    encoder.encode_histogram::<NoLabelSet>(times.sum().as_secs_f64(), times.count(), &buckets, None)
}

/// A label's value as it stands between quotes, which the library does not see to.
fn escaped(value: &str) -> Cow<'_, str> {
    if !value.contains(['\\', '"', '\n']) {
        return Cow::Borrowed(value);
    }
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n").into()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_kind_has_its_form() {
        let mut times = Histogram::default();
        times.record(Duration::from_millis(3));
        let text = render(vec![
            Family::counter("a_total", "Some.").each("route", [("x", 1_u64), ("y", 2)]),
            Family::gauge("b", "Many.").only(7_u64),
            Family::gauge("c_ratio", "Part.").only(0.5),
            Family::histogram("d_seconds", "Long.").only(&times),
        ]);
        for line in [
            "# TYPE a counter",
            "a_total{route=\"x\"} 1",
            "a_total{route=\"y\"} 2",
            "# HELP b Many.",
            "b 7",
            "c_ratio 0.5",
            "# TYPE d_seconds histogram",
            "d_seconds_sum 0.003",
            "d_seconds_count 1",
            "d_seconds_bucket{le=\"0.0025\"} 0",
            "d_seconds_bucket{le=\"0.005\"} 1",
            "d_seconds_bucket{le=\"+Inf\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"), "{text}");
    }

    #[test]
    fn the_older_text_calls_a_counter_by_the_name_of_its_samples() {
        let text = render_prometheus(vec![
            Family::counter("a_total", "Some.").each("route", [("x", 1_u64)]),
            Family::gauge("b", "Many.").only(7_u64),
        ]);
        let lines = [
            "# HELP a_total Some.",
            "# TYPE a_total counter",
            "a_total{route=\"x\"} 1",
            "# HELP b Many.",
            "# TYPE b gauge",
            "b 7",
        ];
        assert_eq!(text.lines().collect::<Vec<_>>(), lines);
        assert!(text.ends_with('\n'));
    }

    #[test]
    fn a_value_of_a_label_cannot_end_its_line() {
        let family = Family::gauge("a", "Some.").each("policy", [("x\"} 1\nb{\\".to_owned(), 1_u64)]);
        let text = render(vec![family]);
        assert!(text.contains(r#"a{policy="x\"} 1\nb{\\"} 1"#), "{text}");
    }
}
