//! Colour and symbols: what the terminal can show, decided once.

use std::env;

use super::ColourChoice;

/// What a piece of text means; never said by colour alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    Good,
    Warn,
    Bad,
    Dim,
    Strong,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    Ok,
    Warn,
    Fail,
}

/// What one of the two output streams can show.
pub(crate) struct Paint {
    colour: bool,
    pub(crate) unicode: bool,
    /// Columns of the terminal; `None` when nobody looks at one.
    pub(crate) width: Option<usize>,
}

impl Paint {
    pub(crate) fn new(choice: ColourChoice, is_terminal: bool) -> Self {
        Self {
            colour: colour(choice, is_terminal, &|name| env::var(name).unwrap_or_default()),
            unicode: unicode(&|name| env::var(name).unwrap_or_default()),
            width: is_terminal.then(terminal_width).flatten(),
        }
    }

    pub(crate) fn has_colour(&self) -> bool {
        self.colour
    }

    pub(crate) fn has_unicode(&self) -> bool {
        self.unicode
    }

    pub(crate) fn tone(&self, tone: Tone, text: &str) -> String {
        match self.escape(tone) {
            Some(escape) => format!("{escape}{text}\u{1b}[0m"),
            None => text.to_owned(),
        }
    }

    pub(super) fn escape(&self, tone: Tone) -> Option<&'static str> {
        let escape = match tone {
            Tone::Plain => return None,
            Tone::Good => "\u{1b}[32m",
            Tone::Warn => "\u{1b}[33m",
            Tone::Bad => "\u{1b}[31m",
            Tone::Dim => "\u{1b}[2m",
            Tone::Strong => "\u{1b}[1m",
        };
        self.colour.then_some(escape)
    }

    pub(crate) fn mark(&self, mark: Mark) -> String {
        let (symbol, ascii, tone) = match mark {
            Mark::Ok => ("✓", "ok", Tone::Good),
            Mark::Warn => ("!", "warn", Tone::Warn),
            Mark::Fail => ("✗", "FAIL", Tone::Bad),
        };
        self.tone(tone, if self.unicode { symbol } else { ascii })
    }

    /// `text`, with what the terminal cannot show replaced.
    pub(crate) fn plain<'a>(&self, unicode: &'a str, ascii: &'a str) -> &'a str {
        if self.unicode { unicode } else { ascii }
    }
}

fn colour(choice: ColourChoice, is_terminal: bool, var: &dyn Fn(&str) -> String) -> bool {
    match choice {
        ColourChoice::Always => true,
        ColourChoice::Never => false,
        ColourChoice::Auto if !var("NO_COLOR").is_empty() => false,
        ColourChoice::Auto if !matches!(var("CLICOLOR_FORCE").as_str(), "" | "0") => true,
        ColourChoice::Auto => is_terminal && var("TERM") != "dumb",
    }
}

/// Whether the locale can show more than ASCII.
fn unicode(var: &dyn Fn(&str) -> String) -> bool {
    let locale =
        ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().map(var).find(|value| !value.is_empty());
    let locale = locale.unwrap_or_default().to_ascii_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}

fn terminal_width() -> Option<usize> {
    let chosen = env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    chosen.or_else(|| crossterm::terminal::size().ok().map(|(columns, _)| columns.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn coloured(choice: ColourChoice, is_terminal: bool, set: (&str, &str)) -> bool {
        colour(choice, is_terminal, &|name| {
            if name == set.0 { set.1.to_owned() } else { String::new() }
        })
    }

    #[test]
    fn colour_is_for_terminals_unless_somebody_says_otherwise() {
        assert!(coloured(ColourChoice::Auto, true, ("", "")));
        assert!(!coloured(ColourChoice::Auto, false, ("", "")));
        assert!(!coloured(ColourChoice::Auto, true, ("NO_COLOR", "1")));
        assert!(!coloured(ColourChoice::Auto, true, ("TERM", "dumb")));
        assert!(coloured(ColourChoice::Auto, false, ("CLICOLOR_FORCE", "1")));
        assert!(!coloured(ColourChoice::Auto, false, ("CLICOLOR_FORCE", "0")));
        assert!(coloured(ColourChoice::Always, false, ("NO_COLOR", "1")));
        assert!(!coloured(ColourChoice::Never, true, ("CLICOLOR_FORCE", "1")));
    }

    #[test]
    fn symbols_need_a_utf8_locale() {
        let under = |value: &'static str| {
            unicode(&move |name| if name == "LC_ALL" { value.into() } else { String::new() })
        };
        assert!(under("en_US.UTF-8"));
        assert!(under("C.utf8"));
        assert!(!under("C"));
        assert!(!under(""));
    }
}
