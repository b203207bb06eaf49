//! The filter language on any text: no panic, errors lie within the text, what is read is written
//! so that it reads the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mcscope::model::filter::{TEXT_MAX, parse};

fuzz_target!(|text: &str| match parse(text) {
    Ok(filter) => {
        let written = filter.to_string();
        if written.len() <= TEXT_MAX {
            assert_eq!(parse(&written).as_ref(), Ok(&filter), "{written}");
        }
    }
    Err(e) => assert!(text.get(e.span.clone()).is_some(), "{e}"),
});
