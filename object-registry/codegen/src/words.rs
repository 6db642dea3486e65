//! Names of definitions as Rust names.

use proc_macro2::Span;
use syn::Ident;

/// Words that are written with capitals inside.
const MIXED: &[&str] = &[
    "LwM2M", "QoS", "CoAP", "CoAPs", "IPv4", "IPv6", "IoT", "mV", "kWh",
];

/// A name in the two shapes of Rust, without regard for keywords.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name {
    /// `battery_level`
    pub(crate) snake: String,
    /// `BatteryLevel`
    pub(crate) camel: String,
}

impl Name {
    /// The words of a name joined; of `fallback` and the id when there is nothing to join.
    pub(crate) fn new(text: &str, fallback: &str, id: impl std::fmt::Display) -> Name {
        let name = Name::joined(&words(text));
        let is_name = |text: &str| syn::parse_str::<Ident>(&format!("x{text}")).is_ok();
        match name.snake.is_empty() || !is_name(&name.snake) || !is_name(&name.camel) {
            false => name,
            true => Name::joined(&[fallback.to_owned()]).with_suffix(&id),
        }
    }

    /// The same name with the id behind it.
    pub(crate) fn with_suffix(&self, id: impl std::fmt::Display) -> Name {
        Name {
            snake: format!("{}_{id}", self.snake),
            camel: format!("{}_{id}", self.camel),
        }
    }

    /// What two names have in common that are too alike to stand side by side.
    pub(crate) fn key(&self) -> String {
        self.camel.to_lowercase()
    }

    /// The identifier of a module or a field.
    pub(crate) fn field(&self) -> Ident {
        identifier(&self.snake)
    }

    /// The identifier of a type or a variant.
    pub(crate) fn type_name(&self) -> Ident {
        identifier(&self.camel)
    }

    fn joined(words: &[String]) -> Name {
        let lower: Vec<String> = words.iter().map(|word| word.to_lowercase()).collect();
        let mut snake = lower.join("_");
        let mut camel: String = lower.iter().map(|word| capitalized(word)).collect();
        if snake.starts_with(|c: char| c.is_numeric()) {
            snake.insert(0, '_');
            camel.insert(0, '_');
        }
        Name { snake, camel }
    }
}

/// An identifier, raw where it is a keyword.
fn identifier(text: &str) -> Ident {
    // `gen` is a keyword since the edition of 2024, which the parser does not know.
    match syn::parse_str::<Ident>(text) {
        Ok(plain) if text != "gen" => plain,
        _ if matches!(text, "self" | "Self" | "super" | "crate" | "_") => {
            Ident::new(&format!("{text}_"), Span::call_site())
        }
        _ => Ident::new_raw(text, Span::call_site()),
    }
}

fn capitalized(word: &str) -> String {
    let mut letters = word.chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => String::new(),
    }
}

/// The words of a name: apart where something else than letters and digits stands, and in a name
/// of one word also where capitals begin.
fn words(text: &str) -> Vec<String> {
    let apart: Vec<&str> = text
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect();
    match apart.as_slice() {
        [only] => split_capitals(only),
        several => several.iter().map(|word| (*word).to_owned()).collect(),
    }
}

fn split_capitals(word: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = word;
    while !rest.is_empty() {
        let known = MIXED.iter().filter(|known| rest.starts_with(**known));
        let ends_here = |known: &&&str| {
            let after = rest
                .get(known.len()..)
                .and_then(|after| after.chars().next());
            after.is_none_or(|c| !c.is_lowercase())
        };
        let length = match known.filter(ends_here).map(|known| known.len()).max() {
            Some(length) => length,
            None => capital_word(rest),
        };
        let (word, after) = rest.split_at(length);
        words.push(word.to_owned());
        rest = after;
    }
    words
}

/// The length of the first word: `Battery` of `BatteryLevel`, `MQTT` of `MQTTServer`.
fn capital_word(text: &str) -> usize {
    let letters: Vec<(usize, char)> = text.char_indices().collect();
    for pair in letters.windows(3) {
        let [(_, first), (at, second), (after, third)] = pair else {
            continue;
        };
        if first.is_lowercase() && second.is_uppercase() {
            return *at;
        }
        if second.is_lowercase() && third.is_uppercase() {
            return *after;
        }
        if first.is_uppercase() && second.is_uppercase() && third.is_lowercase() {
            let rest = letters.iter().skip_while(|(own, _)| own <= after);
            // `IDs` is one word.
            let is_plural =
                *third == 's' && rest.clone().next().is_none_or(|(_, c)| !c.is_lowercase());
            if !is_plural {
                return *at;
            }
        }
    }
    match letters.as_slice() {
        [(_, first), (at, second)] if first.is_lowercase() && second.is_uppercase() => *at,
        _ => text.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_words_as_people_read_them() {
        for (text, snake, camel) in [
            ("Battery Level", "battery_level", "BatteryLevel"),
            ("LwM2M Server", "lwm2m_server", "Lwm2mServer"),
            ("LWM2M Security", "lwm2m_security", "Lwm2mSecurity"),
            ("DeviceType", "device_type", "DeviceType"),
            ("MQTTServer", "mqtt_server", "MqttServer"),
            ("LwM2MServer", "lwm2m_server", "Lwm2mServer"),
            ("QoS", "qos", "Qos"),
            ("CoAP Method", "coap_method", "CoapMethod"),
            ("IMSI", "imsi", "Imsi"),
            ("IDs", "ids", "Ids"),
            ("5QI", "_5qi", "_5qi"),
            ("Cell\u{a0}ID", "cell_id", "CellId"),
            ("On/Off", "on_off", "OnOff"),
            ("  double  spaces ", "double_spaces", "DoubleSpaces"),
            ("Zähler", "zähler", "Zähler"),
            ("kWh", "kwh", "Kwh"),
            ("aB", "a_b", "AB"),
            ("", "resource_7", "Resource_7"),
            ("%!", "resource_7", "Resource_7"),
            ("m²", "resource_7", "Resource_7"),
        ] {
            let name = Name::new(text, "resource", 7);
            assert_eq!((&*name.snake, &*name.camel), (snake, camel), "{text:?}");
        }
    }

    #[test]
    fn keywords_become_identifiers() {
        for (text, field, type_name) in [
            ("Type", "r#type", "Type"),
            ("Self", "self_", "Self_"),
            ("Crate", "crate_", "Crate"),
            ("Match", "r#match", "Match"),
            ("Gen", "r#gen", "Gen"),
            ("async", "r#async", "Async"),
        ] {
            let name = Name::new(text, "resource", 7);
            let found = (name.field().to_string(), name.type_name().to_string());
            assert_eq!(found, (field.to_owned(), type_name.to_owned()));
        }
    }
}
