//! The arguments of an Execute.

#![no_main]

use lwm2m_core::ExecuteArguments;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(arguments) = ExecuteArguments::parse(text) {
        // The grammar leaves one way to write them.
        assert_eq!(arguments.to_string(), text);
        let again = ExecuteArguments::new(arguments.iter().cloned());
        assert_eq!(again.as_ref(), Ok(&arguments));
    }
});
