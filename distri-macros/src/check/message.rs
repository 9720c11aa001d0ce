//! The rules for `#[distri::message]`.
//!
//! Between programs that hold the same types, messages travel without field names (postcard). Some
//! options of serde need a format with names: without these rules they would compile, encode, and
//! fail at the receiver.

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::{
    Attribute, Fields, Item, Path, Token, Type, meta::ParseNestedMeta, punctuated::Punctuated,
};

use crate::{complaints::Complaints, parse};

/// A type that can derive what a message needs.
pub(crate) struct Message {
    /// The types of its fields, as far as they must travel themselves. The compiler is asked about
    /// them before the derives ask in their own words.
    pub(crate) parts: Vec<Type>,
}

/// The derives that the attribute adds.
const DERIVES: [&str; 3] = ["Serialize", "Deserialize", "JsonSchema"];

/// Checks `#[distri::message(options)] item`, and takes out of `item` what would be derived twice.
/// `None` if nothing can be derived for it.
pub(crate) fn check(
    options: TokenStream,
    item: &mut Item,
    complaints: &mut Complaints,
) -> Option<Message> {
    if !options.is_empty() {
        complaints.at(
            options,
            "`#[distri::message]` has no options: serde's stand on the type and its fields, as in \
             #[serde(default)]",
        );
    }
    let mut parts = Vec::new();
    let replaces_fields = match item {
        Item::Struct(item) => {
            check_attributes(&mut item.attrs, On::Type, complaints);
            check_fields(&mut item.fields, &mut parts, complaints);
            !item.generics.params.is_empty() || replaces(&item.attrs)
        }
        Item::Enum(item) => {
            check_attributes(&mut item.attrs, On::Type, complaints);
            for variant in &mut item.variants {
                check_attributes(&mut variant.attrs, On::Variant, complaints);
                if replaces(&variant.attrs) {
                    check_fields(&mut variant.fields, &mut Vec::new(), complaints);
                } else {
                    check_fields(&mut variant.fields, &mut parts, complaints);
                }
            }
            !item.generics.params.is_empty() || replaces(&item.attrs)
        }
        Item::Union(item) => {
            complaints.at(
                item.union_token,
                "a union does not say which of its fields is meant, so it cannot travel: write an \
                 `enum`",
            );
            return None;
        }
        other => {
            complaints.at(
                first_word(other),
                "`#[distri::message]` goes on a struct or an enum: write it above the type that \
                 travels",
            );
            return None;
        }
    };
    if replaces_fields {
        parts.clear();
    }
    Some(Message { parts })
}

/// The word that says what an item is.
pub(crate) fn first_word(item: &Item) -> TokenStream {
    match item {
        Item::Const(item) => item.const_token.to_token_stream(),
        Item::Enum(item) => item.enum_token.to_token_stream(),
        Item::Fn(item) => item.sig.fn_token.to_token_stream(),
        Item::Impl(item) => item.impl_token.to_token_stream(),
        Item::Mod(item) => item.mod_token.to_token_stream(),
        Item::Static(item) => item.static_token.to_token_stream(),
        Item::Struct(item) => item.struct_token.to_token_stream(),
        Item::Trait(item) => item.trait_token.to_token_stream(),
        Item::Type(item) => item.type_token.to_token_stream(),
        Item::Union(item) => item.union_token.to_token_stream(),
        Item::Use(item) => item.use_token.to_token_stream(),
        other => other.to_token_stream(),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum On {
    Type,
    Variant,
    Field,
}

fn check_fields(fields: &mut Fields, parts: &mut Vec<Type>, complaints: &mut Complaints) {
    for field in fields {
        check_attributes(&mut field.attrs, On::Field, complaints);
        if !replaces(&field.attrs) {
            parts.push(field.ty.clone());
        }
    }
}

/// Whether serde or schemars are told to treat something otherwise than by its type.
fn replaces(attributes: &[Attribute]) -> bool {
    const PLAIN: [&str; 9] = [
        "alias",
        "default",
        "deny_unknown_fields",
        "expecting",
        "other",
        "rename",
        "rename_all",
        "rename_all_fields",
        "transparent",
    ];
    let mut replaces = false;
    for attribute in attributes {
        if parse::is(attribute, "serde") || parse::is(attribute, "schemars") {
            let _ = attribute.parse_nested_meta(|meta| {
                replaces |= !PLAIN.iter().any(|plain| meta.path.is_ident(plain));
                skip_value(&meta)
            });
        }
    }
    replaces
}

fn check_attributes(attributes: &mut [Attribute], on: On, complaints: &mut Complaints) {
    for attribute in attributes {
        if on == On::Type && parse::is(attribute, "derive") {
            take_derived_twice(attribute, complaints);
        }
        if parse::is(attribute, "serde") {
            check_serde(attribute, on, complaints);
        }
    }
}

/// Complains of derives that the attribute adds too, and removes them.
fn take_derived_twice(attribute: &mut Attribute, complaints: &mut Complaints) {
    let Ok(paths) = attribute.parse_args_with(Punctuated::<Path, Token![,]>::parse_terminated)
    else {
        return;
    };
    let (twice, kept): (Vec<_>, Vec<_>) = paths.into_iter().partition(|path| {
        path.segments
            .last()
            .is_some_and(|word| DERIVES.iter().any(|derive| word.ident == derive))
    });
    for path in &twice {
        let name = path
            .segments
            .last()
            .map(|word| word.ident.to_string())
            .unwrap_or_default();
        complaints.at(
            path,
            format!("`#[distri::message]` derives `{name}` already: remove it here"),
        );
    }
    if !twice.is_empty() {
        *attribute = syn::parse_quote!(#[derive(#(#kept),*)]);
    }
}

fn check_serde(attribute: &Attribute, on: On, complaints: &mut Complaints) {
    // What serde itself cannot read, serde complains of.
    let _ = attribute.parse_nested_meta(|meta| {
        check_option(&meta, on, complaints);
        skip_value(&meta)
    });
}

fn check_option(meta: &ParseNestedMeta<'_>, on: On, complaints: &mut Complaints) {
    let Some(option) = meta.path.get_ident() else {
        return;
    };
    let message = match &*option.to_string() {
        "tag" => {
            "messages also travel in a format without field names, where a tag among the fields \
             cannot be found: remove this (variants are told apart without it)"
        }
        "flatten" => {
            "messages also travel in a format without field names, which cannot `flatten`: write \
             the fields out"
        }
        "untagged" => {
            "messages also travel in a format that does not show which variant it holds: remove \
             `untagged`"
        }
        "skip_serializing_if" => {
            "messages also travel in a format without field names, where a field that is left out \
             shifts all that follow: remove this (`default` alone is fine)"
        }
        "skip_serializing" | "skip_deserializing" if on == On::Field => {
            "both ends must agree on which fields travel: write `skip`"
        }
        "skip" | "skip_serializing" | "skip_deserializing" if on == On::Variant => {
            "messages also travel in a format that counts variants, where one that is skipped \
             shifts all that follow: remove this"
        }
        _ => return,
    };
    complaints.at(option, message);
}

/// Moves past `= value` or `(…)`.
fn skip_value(meta: &ParseNestedMeta<'_>) -> syn::Result<()> {
    if meta.input.peek(Token![=]) {
        meta.value()?.parse::<syn::Expr>()?;
    } else if meta.input.peek(syn::token::Paren) {
        let list;
        syn::parenthesized!(list in meta.input);
        list.parse::<TokenStream>()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use quote::quote;
    use syn::parse_quote;

    use super::*;
    use crate::check::types;

    fn complaints(mut item: Item) -> Vec<String> {
        let mut complaints = Complaints::default();
        check(TokenStream::new(), &mut item, &mut complaints);
        complaints.messages()
    }

    #[test]
    fn ordinary_types_pass() {
        assert_eq!(
            complaints(parse_quote! {
                #[derive(Debug, Clone)]
                #[serde(rename_all = "kebab-case", deny_unknown_fields)]
                struct Size<T> {
                    #[serde(default = "one", alias = "w")]
                    width: u32,
                    #[serde(skip)]
                    cache: T,
                }
            }),
            [""; 0]
        );
        assert_eq!(
            complaints(parse_quote! {
                enum Shape { Dot, Size(u32, u32), #[serde(rename = "box")] Boxed { side: u32 } }
            }),
            [""; 0]
        );
    }

    #[test]
    fn the_types_of_fields_must_travel_where_serde_looks_at_them() {
        let parts = |mut item: Item| {
            let message = check(TokenStream::new(), &mut item, &mut Complaints::default());
            message
                .unwrap()
                .parts
                .iter()
                .map(types::display)
                .collect::<Vec<_>>()
        };

        let item = parse_quote! {
            struct A { b: u8, #[serde(skip)] c: C, #[serde(default, rename = "e")] d: D, #[serde(with = "f")] f: F }
        };
        assert_eq!(parts(item), ["u8", "D"]);
        let item = parse_quote! {
            enum A { B(u8), #[serde(with = "c")] C(C), D { e: E } }
        };
        assert_eq!(parts(item), ["u8", "E"]);
        assert_eq!(
            parts(parse_quote!(
                struct A<T> {
                    b: T,
                }
            )),
            [""; 0]
        );
        assert_eq!(
            parts(parse_quote!(
                #[serde(from = "u8", into = "u8")]
                struct A {
                    b: B,
                }
            )),
            [""; 0]
        );
    }

    #[test]
    fn a_derive_that_would_come_twice_is_named_and_removed() {
        let mut item: Item = parse_quote! {
            #[derive(Debug, serde::Serialize, Clone, Deserialize)]
            struct Size;
        };
        let mut complaints = Complaints::default();

        check(TokenStream::new(), &mut item, &mut complaints);

        assert_eq!(complaints.count(), 2);
        let expected: Item = parse_quote!(
            #[derive(Debug, Clone)]
            struct Size;
        );
        assert_eq!(quote!(#item).to_string(), quote!(#expected).to_string());
    }

    #[test]
    fn what_the_compact_format_cannot_carry_is_refused() {
        for (item, word) in [
            (
                parse_quote!(
                    struct A {
                        #[serde(flatten)]
                        b: B,
                    }
                ),
                "flatten",
            ),
            (
                parse_quote!(
                    #[serde(untagged)]
                    enum A {
                        B(u8),
                    }
                ),
                "untagged",
            ),
            (
                parse_quote!(
                    #[serde(tag = "kind")]
                    enum A {
                        B { c: u8 },
                    }
                ),
                "without it",
            ),
            (
                parse_quote!(
                    struct A {
                        #[serde(default, skip_serializing_if = "Vec::is_empty")]
                        b: B,
                    }
                ),
                "`default` alone is fine",
            ),
            (
                parse_quote!(
                    enum A {
                        B {
                            #[serde(skip_serializing)]
                            c: u8,
                        },
                    }
                ),
                "`skip`",
            ),
            (
                parse_quote!(
                    enum A {
                        #[serde(skip)]
                        B,
                        C,
                    }
                ),
                "counts variants",
            ),
            (parse_quote!(union A { b: u8, c: i8 }), "`enum`"),
            (
                parse_quote!(
                    fn a() {}
                ),
                "struct or an enum",
            ),
        ] {
            let found = complaints(item);
            assert!(
                found.len() == 1 && found[0].contains(word),
                "{word}: {found:?}"
            );
        }
    }
}
