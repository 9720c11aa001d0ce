//! Names that generated code derives from names in the source.

use proc_macro2::Ident;
use quote::format_ident;
use syn::ext::IdentExt;

/// `WordCount` as `word-count`: the name of a service whose author gave none.
///
/// A run of capitals is one word (`HTTPServer` is `http-server`), and a digit belongs to the word
/// before it (`Sha256Sum` is `sha256-sum`).
pub(crate) fn kebab_case(ident: &Ident) -> String {
    let letters: Vec<char> = ident.unraw().to_string().chars().collect();
    let mut name = String::new();
    for (place, &letter) in letters.iter().enumerate() {
        let before = place.checked_sub(1).map(|place| letters[place]);
        let after = letters.get(place + 1);
        let starts_word = letter.is_uppercase()
            && before.is_some_and(|before| {
                !before.is_uppercase() && before != '_'
                    || before.is_uppercase() && after.is_some_and(|after| after.is_lowercase())
            });
        if starts_word {
            name.push('-');
        }
        if letter == '_' {
            name.push('-');
        } else {
            name.extend(letter.to_lowercase());
        }
    }
    name
}

/// Whether `name` can be the name of a service: `word-count`.
pub(crate) fn is_kebab_case(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.split('-').all(|word| {
            !word.is_empty()
                && word
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        })
}

/// Whether `name` can be the name of a method on the wire and the command line: `count_words`.
pub(crate) fn is_method_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

/// The name of the argument `ident` on the wire. A leading `_` says that the author does not use it
/// yet, which is not the caller's business.
pub(crate) fn argument(ident: &Ident) -> String {
    let written = ident.unraw().to_string();
    let name = written.trim_start_matches('_');
    if name.starts_with(|first: char| first.is_alphabetic()) {
        name.to_owned()
    } else {
        written
    }
}

/// The typed client of the service `ident`: `WordCountClient`.
pub(crate) fn client(ident: &Ident) -> Ident {
    format_ident!("{}Client", ident.unraw(), span = ident.span())
}

/// The type that stands for the method `ident`. No user's type is called so.
pub(crate) fn method(ident: &Ident) -> Ident {
    format_ident!("__method_{}", ident.unraw())
}

/// The type that holds the arguments of the method `ident`. No user's type is called so.
pub(crate) fn arguments(ident: &Ident) -> Ident {
    format_ident!("__arguments_of_{}", ident.unraw())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_name_becomes_kebab_case() {
        for (ident, name) in [
            ("WordCount", "word-count"),
            ("Echo", "echo"),
            ("HTTPServer", "http-server"),
            ("Sha256Sum", "sha256-sum"),
            ("ImageV2", "image-v2"),
            ("Snake_Case", "snake-case"),
        ] {
            assert_eq!(kebab_case(&format_ident!("{ident}")), name);
            assert!(is_kebab_case(name), "{name}");
        }
    }

    #[test]
    fn a_service_name_that_is_not_kebab_case_is_told_apart() {
        for name in [
            "",
            "WordCount",
            "word_count",
            "-word",
            "word-",
            "word--count",
            "2fast",
            "größe",
        ] {
            assert!(!is_kebab_case(name), "{name}");
        }
    }

    #[test]
    fn an_argument_that_is_not_used_yet_has_its_later_name() {
        for (ident, name) in [
            ("text", "text"),
            ("_text", "text"),
            ("__a_b", "a_b"),
            ("_1", "_1"),
        ] {
            assert_eq!(argument(&format_ident!("{ident}")), name);
        }
        assert_eq!(argument(&syn::parse_quote!(r#type)), "type");
    }

    #[test]
    fn generated_types_are_named_without_the_raw_prefix() {
        let ident: Ident = syn::parse_quote!(r#type);

        assert_eq!(method(&ident), "__method_type");
        assert_eq!(arguments(&ident), "__arguments_of_type");
    }
}
