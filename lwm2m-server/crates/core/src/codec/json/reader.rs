//! Reads the JSON of OMA's packs, before names and values are resolved.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;

use super::FORMAT;
use crate::codec::scalar::Scalar;
use crate::codec::senml_json_reader::{ScalarSeed, SkipSeed, Stop, TextSeed, offset};
use crate::codec::{DecodeError, RECORDS_MAX};

/// A label that carries a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Label {
    Number,
    Text,
    Boolean,
    Link,
}

impl Label {
    const ALL: [Label; 4] = [Label::Number, Label::Text, Label::Boolean, Label::Link];

    pub(super) fn name(self) -> &'static str {
        match self {
            Label::Number => "v",
            Label::Text => "sv",
            Label::Boolean => "bv",
            Label::Link => "ov",
        }
    }
}

/// One pack: elements with what they have in common.
#[derive(Debug, Default)]
pub(super) struct Pack<'a> {
    pub(super) base_name: Option<Cow<'a, str>>,
    pub(super) base_time: Option<f64>,
    pub(super) elements: Vec<Element<'a>>,
}

/// One name with a value.
#[derive(Debug, Default)]
pub(super) struct Element<'a> {
    pub(super) name: Option<Cow<'a, str>>,
    pub(super) time: Option<f64>,
    /// The last value.
    pub(super) value: Option<(Label, Scalar<'a>)>,
    /// How many there are.
    pub(super) values: usize,
}

/// Reads one pack, or an array of them.
pub(super) fn read(payload: &[u8]) -> Result<Vec<Pack<'_>>, DecodeError> {
    let mut packs = Vec::new();
    let mut state = State {
        stop: None,
        elements: 0,
        reason: None,
    };
    let mut json = serde_json::Deserializer::from_slice(payload);
    let seed = Packs {
        packs: &mut packs,
        state: &mut state,
        depth: 1,
    };
    if let Err(error) = seed.deserialize(&mut json) {
        return Err(refusal(&state, offset(payload, &error), &error));
    }
    json.end().map_err(|error| DecodeError::TrailingBytes {
        format: FORMAT,
        at: offset(payload, &error),
    })?;
    Ok(packs)
}

fn refusal(state: &State, at: usize, error: &serde_json::Error) -> DecodeError {
    let format = FORMAT;
    if matches!(state.stop, Some(Stop::TooDeep)) {
        return DecodeError::Nesting { format, at };
    }
    if state.elements > RECORDS_MAX {
        return DecodeError::TooManyRecords { format };
    }
    let reason = match (state.reason, error.classify()) {
        (Some(reason), _) => reason,
        (None, Category::Eof) => return DecodeError::Truncated { format, at },
        (None, Category::Data) => "no pack with a list of elements",
        (None, Category::Syntax | Category::Io) => "no JSON, or a number out of range",
    };
    DecodeError::Malformed { format, at, reason }
}

/// What the visitors share: why they, not the JSON reader, end the reading.
struct State {
    stop: Option<Stop>,
    elements: usize,
    reason: Option<&'static str>,
}

impl State {
    fn refuse<E: serde::de::Error>(&mut self, reason: &'static str) -> E {
        self.reason = Some(reason);
        E::custom(reason)
    }

    /// Counts an element before it takes memory.
    fn count<E: serde::de::Error>(&mut self) -> Result<(), E> {
        self.elements += 1;
        if self.elements > RECORDS_MAX {
            return Err(E::custom("too many elements"));
        }
        Ok(())
    }

    fn once<T, E: serde::de::Error>(&mut self, field: &mut Option<T>, value: T) -> Result<(), E> {
        match field.replace(value) {
            None => Ok(()),
            Some(_) => Err(self.refuse("a label is given twice")),
        }
    }
}

/// A pack, or an array of packs.
struct Packs<'s, 'a> {
    packs: &'s mut Vec<Pack<'a>>,
    state: &'s mut State,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Packs<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Packs<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a pack or an array of packs")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut packs: A) -> Result<(), A::Error> {
        if self.depth > 1 {
            return Err(self.state.refuse("an array of arrays"));
        }
        loop {
            let next = packs.next_element_seed(Packs {
                packs: self.packs,
                state: self.state,
                depth: self.depth + 1,
            })?;
            if next.is_none() {
                return Ok(());
            }
            // A pack without elements takes memory too.
            self.state.count()?;
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut labels: A) -> Result<(), A::Error> {
        let mut pack = Pack::default();
        // The pack may be its own only element.
        let mut own = Element::default();
        let mut listed = false;
        while let Some(label) = labels.next_key_seed(TextSeed)? {
            match &*label {
                "bn" => {
                    let name = labels.next_value_seed(TextSeed)?;
                    self.state.once(&mut pack.base_name, name)?;
                }
                "bt" => {
                    let time = labels.next_value_seed(Seconds)?;
                    self.state.once(&mut pack.base_time, time)?;
                }
                "e" if listed => return Err(self.state.refuse("a label is given twice")),
                "e" => {
                    listed = true;
                    labels.next_value_seed(Elements {
                        elements: &mut pack.elements,
                        state: self.state,
                        depth: self.depth + 1,
                    })?;
                }
                _ => own.take(&label, &mut labels, self.state, self.depth)?,
            }
        }
        if own.value.is_some() || (own.name.is_some() && !listed) {
            self.state.count()?;
            pack.elements.push(own);
        }
        self.packs.push(pack);
        Ok(())
    }
}

impl<'de> Element<'de> {
    /// Takes the value of a label; `depth` is that of the object it stands in.
    fn take<A: MapAccess<'de>>(
        &mut self,
        label: &str,
        labels: &mut A,
        state: &mut State,
        depth: usize,
    ) -> Result<(), A::Error> {
        match label {
            "n" => {
                let name = labels.next_value_seed(TextSeed)?;
                return state.once(&mut self.name, name);
            }
            "t" => {
                let time = labels.next_value_seed(Seconds)?;
                return state.once(&mut self.time, time);
            }
            _ => {}
        }
        match Label::ALL.into_iter().find(|known| known.name() == label) {
            Some(label) => {
                self.value = Some((label, labels.next_value_seed(ScalarSeed)?));
                self.values += 1;
                Ok(())
            }
            None => labels.next_value_seed(SkipSeed {
                depth: depth + 1,
                stop: &mut state.stop,
            }),
        }
    }
}

/// The array of elements.
struct Elements<'s, 'a> {
    elements: &'s mut Vec<Element<'a>>,
    state: &'s mut State,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Elements<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Elements<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of elements")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        while let Some(element) = elements.next_element_seed(OneElement {
            state: self.state,
            depth: self.depth + 1,
        })? {
            self.state.count()?;
            self.elements.push(element);
        }
        Ok(())
    }
}

struct OneElement<'s> {
    state: &'s mut State,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for OneElement<'_> {
    type Value = Element<'de>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Element<'de>, D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for OneElement<'_> {
    type Value = Element<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an element")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut labels: A) -> Result<Element<'de>, A::Error> {
        let mut element = Element::default();
        while let Some(label) = labels.next_key_seed(TextSeed)? {
            element.take(&label, &mut labels, self.state, self.depth)?;
        }
        Ok(element)
    }
}

/// A time in seconds.
struct Seconds;

impl<'de> DeserializeSeed<'de> for Seconds {
    type Value = f64;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<f64, D::Error> {
        serde::Deserialize::deserialize(json)
    }
}
