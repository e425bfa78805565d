//! Rust source as the rules see it: each line as written, the same line without comments and texts, and whether it
//! belongs to a test. Knows no rule.

/// One file.
pub(crate) struct Source {
    /// Below the package's root, with `/`.
    pub(crate) path: String,
    /// As written.
    pub(crate) raw: Vec<String>,
    /// Comments, texts and character literals are spaces here.
    pub(crate) code: Vec<String>,
    /// Whether the line stands in an item under `#[cfg(test)]`.
    pub(crate) test: Vec<bool>,
}

/// A function with a body.
pub(crate) struct Function {
    /// Its name.
    pub(crate) name: String,
    /// The line of `fn`, from 1.
    pub(crate) line: usize,
    /// From the line of `fn` to that of the closing brace.
    pub(crate) lines: usize,
}

impl Source {
    /// Reads the text of one file.
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let code: Vec<String> = blanked(text).lines().map(str::to_owned).collect();
        let raw = text.lines().map(str::to_owned).collect();
        Source { path: path.to_owned(), raw, test: test_lines(&code), code }
    }

    /// The lines of code outside tests, numbered from 1.
    pub(crate) fn product_code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.code.iter().zip(&self.test).enumerate();
        lines.filter(|(_, (_, test))| !**test).map(|(index, (line, _))| (index + 1, line.as_str()))
    }

    /// The functions outside tests.
    pub(crate) fn functions(&self) -> Vec<Function> {
        self.product_code().filter_map(|(line, code)| self.function(line, function_name(code)?)).collect()
    }

    /// Modules that are compiled for tests only and live in files of their own, as paths without `.rs`.
    pub(crate) fn test_modules(&self) -> Vec<String> {
        let folder = match self.path.rsplit_once('/') {
            Some((folder, "mod.rs" | "lib.rs" | "main.rs")) => folder,
            _ => self.path.trim_end_matches(".rs"),
        };
        let lines = self.code.iter().zip(&self.test).filter(|(_, test)| **test).map(|(line, _)| line.trim());
        let names = lines.filter_map(|line| line.strip_suffix(';')?.strip_prefix("mod "));
        names.map(|name| format!("{folder}/{name}")).collect()
    }

    fn function(&self, line: usize, name: String) -> Option<Function> {
        let (mut brackets, mut braces) = (0_i32, 0_i32);
        for (offset, code) in self.code[line - 1..].iter().enumerate() {
            for character in code.chars() {
                match character {
                    '(' | '[' => brackets += 1,
                    ')' | ']' => brackets -= 1,
                    ';' if brackets == 0 && braces == 0 => return None,
                    '{' => braces += 1,
                    '}' => braces -= 1,
                    _ => continue,
                }
                if character == '}' && braces == 0 && brackets == 0 {
                    return Some(Function { name, line, lines: offset + 1 });
                }
            }
        }
        None
    }
}

/// The name of the function that this line declares.
fn function_name(code: &str) -> Option<String> {
    let (before, after) = code.split_once("fn ")?;
    let modifiers = ["pub", "const", "async", "unsafe", "extern", "default"];
    let is_modifier =
        |word: &str| modifiers.contains(&word) || word.starts_with("pub(") || word.ends_with(')');
    before.split_whitespace().all(is_modifier).then(|| leading_word(after).to_owned())
}

/// The letters, digits and underscores that `text` begins with.
pub(crate) fn leading_word(text: &str) -> &str {
    text.split(|character: char| !is_word(character)).next().unwrap_or_default()
}

/// Whether `character` can be part of a name.
pub(crate) fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// Marks the items under `#[cfg(test)]`; relies on rustfmt's indentation.
fn test_lines(code: &[String]) -> Vec<bool> {
    let mut marks = vec![false; code.len()];
    let mut index = 0;
    while index < code.len() {
        let end = if code[index].trim_start().starts_with("#[cfg(test)]") {
            end_of_item(code, index)
        } else {
            index
        };
        if end > index {
            marks[index..=end].fill(true);
        }
        index = end + 1;
    }
    marks
}

/// The last line of the item whose first attribute stands at `start`.
fn end_of_item(code: &[String], start: usize) -> usize {
    let indentation = |line: &str| line.len() - line.trim_start().len();
    let depth = indentation(&code[start]);
    let is_end = |line: &str| {
        indentation(line) == depth
            && !line.trim_start().starts_with('#')
            && line.trim_end().ends_with([';', '}'])
    };
    code[start..].iter().position(|line| is_end(line)).map_or(code.len() - 1, |offset| start + offset)
}

/// `text` with a space for each character of a comment, a text or a character literal.
fn blanked(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['"', '\'', '/']) {
        code.push_str(&rest[..at]);
        rest = &rest[at..];
        let hidden = hidden_bytes(&code, rest);
        let shown = usize::from(hidden == 0);
        code.extend(rest[..hidden].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        code.push_str(&rest[..shown]);
        rest = &rest[hidden + shown..];
    }
    code + rest
}

/// The length of the comment, text or character literal that `rest` begins with, else 0. `before` ends there.
fn hidden_bytes(before: &str, rest: &str) -> usize {
    match rest.as_bytes() {
        [b'/', b'/', ..] => rest.find('\n').unwrap_or(rest.len()),
        [b'/', b'*', ..] => block_comment_bytes(rest),
        [b'\'', ..] => character_bytes(rest),
        [b'"', ..] => {
            raw_hashes(before).map_or_else(|| text_bytes(rest), |hashes| raw_text_bytes(rest, hashes))
        }
        _ => 0,
    }
}

/// The number of `#` of a raw text whose quote comes next.
fn raw_hashes(before: &str) -> Option<usize> {
    let word_end = before.trim_end_matches('#');
    let word_start = word_end.trim_end_matches(is_word).len();
    matches!(&word_end[word_start..], "r" | "br" | "cr").then(|| before.len() - word_end.len())
}

fn text_bytes(rest: &str) -> usize {
    let mut escaped = false;
    for (at, character) in rest.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

fn raw_text_bytes(rest: &str, hashes: usize) -> usize {
    let end = format!("\"{}", "#".repeat(hashes));
    rest[1..].find(&end).map_or(rest.len(), |at| 1 + at + end.len())
}

/// A lifetime is no literal: 0.
fn character_bytes(rest: &str) -> usize {
    let mut characters = rest.char_indices().skip(1);
    match characters.next() {
        Some((_, '\\')) => rest[3..].find('\'').map_or(0, |at| 3 + at + 1),
        Some(_) => characters.next().filter(|(_, third)| *third == '\'').map_or(0, |(at, _)| at + 1),
        None => 0,
    }
}

fn block_comment_bytes(rest: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < rest.len() {
        match rest.as_bytes().get(at..at + 2) {
            Some(b"/*") => depth += 1,
            Some(b"*/") => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

#[test]
fn comments_texts_and_characters_are_no_code() {
    let cases = [
        ("a // b\nc", "a     \nc"),
        ("a /* /* b */ c */ d", "a                 d"),
        ("f(\"a\\\"b\", 'c', '\\'')", "f(      ,    ,     )"),
        ("r\"a\\\" b", "r     b"),
        ("br#\"a\"b\"# c", "br#       c"),
        ("fn f<'a>(x: &'a str) -> u8 { b'\"' / 2 }", "fn f<'a>(x: &'a str) -> u8 { b    / 2 }"),
    ];
    for (text, code) in cases {
        assert_eq!(blanked(text), code);
    }
}
