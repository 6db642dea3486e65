//! What a server asks of a device: the operations of device management and reporting.

use crate::{Attributes, ContentFormat, Path, Record};

/// How a Write treats what it does not name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteMode {
    /// PUT: what is not named is removed or reset.
    Replace,
    /// POST: only what is named changes.
    Update,
}

/// An operation of device management or information reporting (Core 1.2.2 §6.3, §6.4).
///
/// `format` and `accept` are what the caller insists on; `None` lets the server choose by what
/// the device's version and registration allow.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Request {
    /// GET: the values at and below a path.
    Read {
        /// What to read.
        path: Path,
        /// The format of the answer.
        accept: Option<ContentFormat>,
    },
    /// GET with Accept 40: what is there, with its attributes.
    Discover {
        /// An object, object instance or resource.
        path: Path,
        /// How many levels below the path, 0 to 3 (1.2).
        depth: Option<u8>,
    },
    /// PUT or POST: values at or below `path`.
    Write {
        /// An object instance, resource or resource instance.
        path: Path,
        /// What happens to values that are not named.
        mode: WriteMode,
        /// The values, at or below the path.
        records: Vec<Record<'static>>,
        /// The format of the payload.
        format: Option<ContentFormat>,
    },
    /// PUT with a query: notification attributes.
    WriteAttributes {
        /// Anything but `/`.
        path: Path,
        /// The attributes to set and to unset.
        attributes: Attributes,
    },
    /// POST on a resource.
    Execute {
        /// The resource.
        path: Path,
        /// What the resource is told.
        arguments: ExecuteArguments,
    },
    /// POST on an object.
    Create {
        /// The object.
        object: u16,
        /// The new instance; none: the device chooses.
        instance: Option<u16>,
        /// The values below `/object/instance`, with instance 65535 when the device chooses.
        records: Vec<Record<'static>>,
        /// The format of the payload.
        format: Option<ContentFormat>,
    },
    /// DELETE: an object instance, or a resource instance (1.2).
    Delete {
        /// What to delete.
        path: Path,
    },
    /// FETCH: several paths at once (1.1).
    ReadComposite {
        /// What to read.
        paths: Vec<Path>,
        /// The format of the request.
        format: Option<ContentFormat>,
        /// The format of the answer.
        accept: Option<ContentFormat>,
    },
    /// iPATCH: several values at once, all or nothing (1.1).
    WriteComposite {
        /// The values; null removes a resource instance (1.2).
        records: Vec<Record<'static>>,
        /// The format of the payload.
        format: Option<ContentFormat>,
    },
    /// GET with Observe.
    Observe {
        /// Anything but `/`.
        path: Path,
        /// Attributes for this observation only (1.2).
        attributes: Attributes,
        /// The format of the notifications.
        accept: Option<ContentFormat>,
    },
    /// FETCH with Observe (1.1).
    ObserveComposite {
        /// What to observe.
        paths: Vec<Path>,
        /// Attributes for this observation only.
        attributes: Attributes,
        /// The format of the request.
        format: Option<ContentFormat>,
        /// The format of the notifications.
        accept: Option<ContentFormat>,
    },
}

/// One argument of an Execute: a digit and, where given, a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecuteArgument {
    /// 0 to 9.
    pub digit: u8,
    /// The text between the quotes.
    pub value: Option<String>,
}

/// The arguments of an Execute, `5` or `2='10.3',7` (Core 1.2.2 §6.3.5).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExecuteArguments(Vec<ExecuteArgument>);

impl ExecuteArguments {
    /// Arguments in the given order.
    ///
    /// # Errors
    /// A digit above 9 or named twice, a character that the grammar does not have; `at` is the
    /// offset in the text form.
    pub fn new(
        arguments: impl IntoIterator<Item = ExecuteArgument>,
    ) -> Result<ExecuteArguments, ExecuteArgumentsError> {
        let arguments = ExecuteArguments(arguments.into_iter().collect());
        let read = ExecuteArguments::parse(&arguments.to_string())?;
        // A quote inside a value may have made two arguments of it.
        let changed = read.0.iter().zip(&arguments.0).position(|(a, b)| a != b);
        match changed {
            None => Ok(read),
            Some(first) => {
                let before = ExecuteArguments(read.0.into_iter().take(first).collect());
                let at = before.to_string().len();
                Err(ExecuteArgumentsError { at })
            }
        }
    }

    /// Reads the text form; empty text is no arguments.
    ///
    /// # Errors
    /// Anything outside the grammar, a digit named twice.
    pub fn parse(text: &str) -> Result<ExecuteArguments, ExecuteArgumentsError> {
        let mut arguments: Vec<ExecuteArgument> = Vec::new();
        if text.is_empty() {
            return Ok(ExecuteArguments(arguments));
        }
        let mut at = 0;
        loop {
            let start = at;
            let (argument, end) = read_argument(text.as_bytes(), at)?;
            if arguments.iter().any(|a| a.digit == argument.digit) {
                return Err(ExecuteArgumentsError { at: start });
            }
            arguments.push(argument);
            match text.as_bytes().get(end) {
                None => return Ok(ExecuteArguments(arguments)),
                Some(b',') => at = end + 1,
                Some(_) => return Err(ExecuteArgumentsError { at: end }),
            }
        }
    }

    /// The arguments in their order.
    pub fn iter(&self) -> impl Iterator<Item = &ExecuteArgument> {
        self.0.iter()
    }

    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Reads the argument that starts at `at`, and says where it ends.
fn read_argument(
    text: &[u8],
    at: usize,
) -> Result<(ExecuteArgument, usize), ExecuteArgumentsError> {
    let error = |at| ExecuteArgumentsError { at };
    let digit = match text.get(at) {
        Some(digit) if digit.is_ascii_digit() => digit - b'0',
        _ => return Err(error(at)),
    };
    if text.get(at + 1) != Some(&b'=') {
        let value = None;
        return Ok((ExecuteArgument { digit, value }, at + 1));
    }
    if text.get(at + 2) != Some(&b'\'') {
        return Err(error(at + 2));
    }
    let start = at + 3;
    let mut value = String::new();
    for (offset, byte) in text[start..].iter().enumerate() {
        match byte {
            b'\'' => {
                let value = Some(value);
                return Ok((ExecuteArgument { digit, value }, start + offset + 1));
            }
            0x21 | 0x23..=0x5b | 0x5d..=0x7e => value.push(char::from(*byte)),
            _ => return Err(error(start + offset)),
        }
    }
    Err(error(text.len()))
}

impl std::fmt::Display for ExecuteArguments {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, argument) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            match &argument.value {
                None => write!(f, "{}", argument.digit)?,
                Some(value) => write!(f, "{}='{value}'", argument.digit)?,
            }
        }
        Ok(())
    }
}

/// Why a text is no list of Execute arguments; `at` is the byte offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "arguments have the form 0='text',1 with each digit once and no spaces, quotes or backslashes \
     in the text (at byte {at})"
)]
pub struct ExecuteArgumentsError {
    /// Where it goes wrong.
    pub at: usize,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_the_grammar() {
        for text in [
            "",
            "5",
            "2='10.3'",
            "7,0='https://x.example/y?a=1,b;c'",
            "0=''",
            "0,1,2,3,4,5,6,7,8,9",
        ] {
            let arguments = ExecuteArguments::parse(text).unwrap();
            assert_eq!(arguments.to_string(), text);
            assert_eq!(arguments.is_empty(), text.is_empty());
        }
        let arguments = ExecuteArguments::parse("2='10.3',7").unwrap();
        let arguments: Vec<_> = arguments
            .iter()
            .map(|argument| (argument.digit, argument.value.as_deref()))
            .collect();
        assert_eq!(arguments, [(2, Some("10.3")), (7, None)]);
    }

    #[test]
    fn says_where_the_grammar_is_broken() {
        for (text, at) in [
            ("a", 0),
            ("10", 1),
            ("5,", 2),
            (",5", 0),
            ("5, 6", 2),
            ("5=", 2),
            ("5=6", 2),
            ("5='6", 4),
            ("5='a b'", 4),
            ("5='a\"b'", 4),
            ("5='a\\b'", 4),
            ("5='ü'", 3),
            ("5='a'b", 5),
            ("5,6,5", 4),
        ] {
            let error = ExecuteArguments::parse(text).unwrap_err();
            assert_eq!(error, ExecuteArgumentsError { at }, "{text}");
        }
    }

    #[test]
    fn arguments_made_by_hand_obey_the_grammar() {
        let argument = |digit, value: Option<&str>| ExecuteArgument {
            digit,
            value: value.map(str::to_owned),
        };
        assert!(ExecuteArguments::new([argument(0, Some("U")), argument(1, None)]).is_ok());
        assert!(ExecuteArguments::new([argument(10, None)]).is_err());
        assert!(ExecuteArguments::new([argument(1, None), argument(1, None)]).is_err());
        assert!(ExecuteArguments::new([argument(1, Some("a b"))]).is_err());
        // Would otherwise be read as two arguments.
        assert!(ExecuteArguments::new([argument(1, Some("a',2='b"))]).is_err());
    }

    proptest! {
        #[test]
        fn written_arguments_are_read_again(
            values in proptest::collection::btree_map(
                0u8..=9, proptest::option::of("[!#-&(-\\[\\]-~]{0,12}"), 0..10),
        ) {
            let arguments = values.into_iter().map(|(digit, value)| ExecuteArgument { digit, value });
            let arguments = ExecuteArguments::new(arguments).unwrap();
            prop_assert_eq!(ExecuteArguments::parse(&arguments.to_string()), Ok(arguments));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[0-9=',a]{0,12}", wild: String) {
            let _ = ExecuteArguments::parse(&wild);
            if let Ok(arguments) = ExecuteArguments::parse(&text) {
                prop_assert_eq!(arguments.to_string(), text);
            }
        }
    }
}
