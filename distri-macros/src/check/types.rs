//! The types of arguments and results: what can never travel is told by its shape, before the
//! compiler looks at traits.

use proc_macro2::{Ident, TokenStream, TokenTree};
use quote::ToTokens;
use syn::{
    Path, Type, TypeImplTrait, TypeInfer, TypeReference,
    visit::{self, Visit},
};

use crate::complaints::Complaints;

/// Complains of whatever in `ty` cannot travel. `what` is `an argument` or `a result`.
pub(crate) fn check(ty: &Type, what: &'static str, in_trait: bool, complaints: &mut Complaints) {
    Travelling {
        what,
        in_trait,
        complaints,
    }
    .visit_type(ty);
}

struct Travelling<'a> {
    what: &'static str,
    in_trait: bool,
    complaints: &'a mut Complaints,
}

impl<'ast> Visit<'ast> for Travelling<'_> {
    fn visit_type_reference(&mut self, reference: &'ast TypeReference) {
        let (owned, written) = (owned(&reference.elem), display(reference));
        let message = if owned == "NodeHandle" {
            "the node does not travel: take `cx: &Context` first, and ask `cx.node()`".to_owned()
        } else {
            let what = self.what;
            format!("{what} travels between programs: write `{owned}` instead of `{written}`")
        };
        self.complaints.at(reference, message);
    }

    fn visit_lifetime(&mut self, lifetime: &'ast syn::Lifetime) {
        let what = self.what;
        self.complaints.at(
            lifetime,
            format!("{what} travels between programs, so it borrows nothing: use a type without a lifetime"),
        );
    }

    fn visit_type_impl_trait(&mut self, ty: &'ast TypeImplTrait) {
        let what = self.what;
        self.complaints.at(
            ty,
            format!(
                "{what} has one type that all callers know: name it (a sequence is a `Stream<T>`)"
            ),
        );
    }

    fn visit_type_infer(&mut self, ty: &'ast TypeInfer) {
        self.complaints
            .at(ty, "callers need to know the type: write it out");
    }

    fn visit_path(&mut self, path: &'ast Path) {
        let names_self = path
            .segments
            .first()
            .is_some_and(|segment| segment.ident == "Self");
        if self.in_trait && names_self {
            let what = self.what;
            self.complaints.at(
                path,
                format!("callers do not know which type implements the interface, so {what} cannot be `Self`: name a type"),
            );
        } else {
            visit::visit_path(self, path);
        }
    }
}

/// The owned type to write instead of a reference to `ty`.
fn owned(ty: &Type) -> String {
    match ty {
        Type::Slice(slice) => format!("Vec<{}>", display(&slice.elem)),
        Type::Path(path) if path.path.is_ident("str") => "String".to_owned(),
        Type::Path(path) if path.path.segments.last().is_some_and(|s| s.ident == "Path") => {
            "PathBuf".to_owned()
        }
        Type::Path(path)
            if path
                .path
                .segments
                .last()
                .is_some_and(|s| s.ident == "NodeHandle") =>
        {
            "NodeHandle".to_owned()
        }
        Type::TraitObject(_) | Type::ImplTrait(_) => "a concrete type".to_owned(),
        ty => display(ty),
    }
}

/// Whether a `Stream` stands anywhere in `ty`.
pub(crate) fn has_stream(ty: &Type) -> bool {
    struct Streams(bool);
    impl<'ast> Visit<'ast> for Streams {
        fn visit_path(&mut self, path: &'ast Path) {
            self.0 |= path
                .segments
                .last()
                .is_some_and(|segment| segment.ident == "Stream");
            visit::visit_path(self, path);
        }
    }
    let mut streams = Streams(false);
    streams.visit_type(ty);
    streams.0
}

/// `ty` with `Self` replaced by `self_type`, for code outside of the user's `impl`.
pub(crate) fn without_self(ty: &Type, self_type: &Type) -> Type {
    let replaced = replace_self(ty.to_token_stream(), self_type);
    syn::parse2(replaced).unwrap_or_else(|_| ty.clone())
}

fn replace_self(tokens: TokenStream, self_type: &Type) -> TokenStream {
    let replace = |token: TokenTree| match token {
        TokenTree::Ident(ident) if ident == "Self" => self_type.to_token_stream(),
        TokenTree::Group(group) => {
            let inner = replace_self(group.stream(), self_type);
            let mut replaced = proc_macro2::Group::new(group.delimiter(), inner);
            replaced.set_span(group.span());
            TokenTree::Group(replaced).into()
        }
        other => other.into(),
    };
    tokens.into_iter().flat_map(replace).collect()
}

/// Tokens as a person would write them: `Vec<&str>`, not `Vec < & str >`.
pub(crate) fn display(tokens: impl ToTokens) -> String {
    let spaced = tokens.to_token_stream().to_string();
    let mut text = String::new();
    let mut rest = spaced.as_str();
    while let Some(place) = rest.find(' ') {
        let (word, after) = rest.split_at(place);
        text.push_str(word);
        let after = &after[1..];
        let glued = word.ends_with(['<', '&', ':', '(', '[', '*', '!', '\''])
            || after.starts_with(['<', '>', ',', ':', ')', ']', ';', '('])
                && !word.ends_with([',', ';'])
                && !(after.starts_with(':') && word.ends_with('='));
        if !glued || word == "->" {
            text.push(' ');
        }
        rest = after;
    }
    text.push_str(rest);
    text
}

/// Names as a list for a sentence: `a`, `b`.
pub(crate) fn list<'a>(names: impl IntoIterator<Item = &'a Ident>) -> String {
    let quoted: Vec<_> = names.into_iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}

#[cfg(test)]
mod tests {
    use syn::parse_quote;

    use super::*;

    fn complaints(ty: Type, in_trait: bool) -> Vec<String> {
        let mut complaints = Complaints::default();
        check(&ty, "an argument", in_trait, &mut complaints);
        complaints.messages()
    }

    #[test]
    fn a_borrowed_type_is_told_its_owned_form() {
        for (borrowed, owned) in [
            (parse_quote!(&str), "write `String` instead of `&str`"),
            (parse_quote!(&[u8]), "write `Vec<u8>` instead of `&[u8]`"),
            (
                parse_quote!(&'a Path),
                "write `PathBuf` instead of `&'a Path`",
            ),
            (
                parse_quote!(&mut Size),
                "write `Size` instead of `&mut Size`",
            ),
            (parse_quote!(Vec<&str>), "write `String` instead of `&str`"),
            (
                parse_quote!(Option<(u8, &'static str)>),
                "write `String` instead of",
            ),
            (parse_quote!(&NodeHandle), "ask `cx.node()`"),
        ] {
            let borrowed: Type = borrowed;
            let found = complaints(borrowed, false);
            assert!(found.len() == 1 && found[0].contains(owned), "{found:?}");
        }
    }

    #[test]
    fn other_types_that_cannot_travel_are_told_why() {
        assert!(complaints(parse_quote!(Cow<'a, str>), false)[0].contains("without a lifetime"));
        assert!(
            complaints(parse_quote!(impl Iterator<Item = u8>), false)[0].contains("`Stream<T>`")
        );
        assert!(complaints(parse_quote!(Vec<_>), false)[0].contains("write it out"));
        assert!(complaints(parse_quote!(Vec<Self>), true)[0].contains("name a type"));
        assert_eq!(complaints(parse_quote!(Vec<Self>), false), [""; 0]);
        assert_eq!(
            complaints(parse_quote!(HashMap<String, Vec<[u8; 4]>>), true),
            [""; 0]
        );
    }

    #[test]
    fn self_is_replaced_wherever_it_stands() {
        let ty: Type = parse_quote!(Vec<(Self, Option<[Self; 2]>)>);

        let replaced = without_self(&ty, &parse_quote!(words::Count));

        let expected: Type = parse_quote!(Vec<(words::Count, Option<[words::Count; 2]>)>);
        assert_eq!(display(replaced), display(expected));
    }

    #[test]
    fn a_stream_is_seen_at_any_depth() {
        assert!(has_stream(&parse_quote!(distri::Stream<u8>)));
        assert!(has_stream(&parse_quote!(Option<Stream<u8>>)));
        assert!(!has_stream(&parse_quote!(Vec<Streamer>)));
    }

    #[test]
    fn types_are_shown_as_people_write_them() {
        for text in [
            "&str",
            "Vec<u8>",
            "&'a [u8]",
            "std::io::Result<(u8, Vec<String>)>",
            "[u8; 4]",
        ] {
            let ty: Type = syn::parse_str(text).unwrap();
            assert_eq!(display(ty), text);
        }
    }
}
