//! What is wrong with a text that the user wrote, and where.

use std::fmt;
use std::ops::Range;

use super::visible;

/// Characters of the user's text that an error repeats.
const MAX_SHOWN: usize = 200;

/// A text that the user wrote is wrong: which part, why, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextError {
    /// The whole text as given.
    pub text: String,
    /// The wrong part, in bytes of `text`, on character boundaries; empty where something is missing.
    pub span: Range<usize>,
    /// What is wrong with it.
    pub message: String,
    /// What to write instead, or what is known that helps.
    pub help: Option<String>,
}

impl TextError {
    /// An error at a part of `text`. A range that does not lie on character boundaries is widened.
    pub fn new(text: &str, span: Range<usize>, message: impl Into<String>) -> Self {
        let start = text.floor_char_boundary(span.start);
        let end = text.ceil_char_boundary(span.end.max(span.start));
        TextError { text: text.to_owned(), span: start..end, message: message.into(), help: None }
    }

    /// The same with a remedy.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The wrong part itself.
    pub fn part(&self) -> &str {
        self.text.get(self.span.clone()).unwrap_or("")
    }

    /// Message and help in a line, where the text stands beside.
    pub fn in_a_line(&self) -> String {
        match &self.help {
            Some(help) => format!("{}; {help}", self.message),
            None => self.message.clone(),
        }
    }

    /// The wrong part in characters of the text as [`TextError::caret`] shows it, for an input line that
    /// marks it: at least one character wide.
    pub fn columns(&self) -> Range<usize> {
        let width = |s: &str| visible(s, usize::MAX).chars().count();
        let start = width(self.text.get(..self.span.start).unwrap_or(""));
        start..start + width(self.part()).max(1)
    }

    /// The text, and under it a line that marks the wrong part and says what is wrong:
    ///
    /// ```text
    /// 234.2.2.299
    ///         ^^^ an IPv4 number goes up to 255
    /// ```
    pub fn caret(&self) -> String {
        let columns = self.columns();
        let text = visible(&self.text, usize::MAX);
        let mut out = format!(
            "{text}\n{:skip$}{:^<mark$} {}",
            "",
            "",
            self.message,
            skip = columns.start,
            mark = columns.len()
        );
        if let Some(help) = &self.help {
            out.push_str(&format!("\n{:skip$}{help}", "", skip = columns.start));
        }
        out
    }
}

impl fmt::Display for TextError {
    /// One line: the text, the wrong part if it is not all of it, the message, the help.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: ", visible(&self.text, MAX_SHOWN))?;
        let part = self.part();
        if !part.is_empty() && part.len() < self.text.trim().len() {
            write!(f, "`{}`: ", visible(part, MAX_SHOWN))?;
        }
        f.write_str(&self.message)?;
        match &self.help {
            Some(help) => write!(f, "; {help}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for TextError {}
