//! Server-sent events, read line by line.

use std::io::{BufRead, BufReader, Read};

use serde_json::Value;

/// One event of the stream.
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) data: Value,
}

/// The longest line that is read, in bytes.
const LINE_MAX: u64 = 8 << 20;

/// Reads events until the stream ends or the visitor has seen enough.
pub(crate) fn read(
    stream: impl Read,
    mut visit: impl FnMut(Event) -> anyhow::Result<Flow>,
) -> anyhow::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut name = String::new();
    let mut data = String::new();
    loop {
        let mut line = String::new();
        if reader.by_ref().take(LINE_MAX).read_line(&mut line)? == 0 {
            return Ok(());
        }
        let line = line.trim_end_matches(['\n', '\r']);
        if line.is_empty() {
            if !data.is_empty() {
                let event = Event {
                    name: std::mem::take(&mut name),
                    data: serde_json::from_str(&data).unwrap_or(Value::String(data.clone())),
                };
                if visit(event)? == Flow::Stop {
                    return Ok(());
                }
            }
            name.clear();
            data.clear();
        } else if let Some(value) = line.strip_prefix("event:") {
            name = value.trim_start().to_owned();
        } else if let Some(value) = line.strip_prefix("data:") {
            data.push_str(value.strip_prefix(' ').unwrap_or(value));
        }
    }
}

/// Whether reading goes on.
#[derive(PartialEq, Eq)]
pub(crate) enum Flow {
    Continue,
    Stop,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_events_between_comments() {
        let stream = ": hello\n\nevent: notification\nid: 7\ndata: {\"a\":1}\n\n: keep\n\nevent: x\ndata: {}\n\n";
        let mut seen = Vec::new();
        read(stream.as_bytes(), |event| {
            seen.push((event.name, event.data.to_string()));
            Ok(Flow::Continue)
        })
        .unwrap();
        assert_eq!(
            seen,
            [
                ("notification".to_owned(), "{\"a\":1}".to_owned()),
                ("x".to_owned(), "{}".to_owned())
            ]
        );
    }

    #[test]
    fn stops_when_the_visitor_has_seen_enough() {
        let stream = "data: 1\n\ndata: 2\n\n";
        let mut count = 0;
        read(stream.as_bytes(), |_| {
            count += 1;
            Ok(Flow::Stop)
        })
        .unwrap();
        assert_eq!(count, 1);
    }
}
