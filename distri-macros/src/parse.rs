//! Tokens become small types of our own.
//!
//! Nothing is judged here: an option that does not exist and a method that is not async both
//! parse. What the attributes of distri leave in the item for us (`#[method]`, doc comments on
//! arguments, which the compiler would refuse) is taken out of it on the way.

use proc_macro2::TokenStream;
use syn::{
    Attribute, FnArg, ImplItem, Item, ItemImpl, ItemTrait, Signature, TraitItem, Type, punctuated,
};

use crate::complaints::Complaints;

pub(crate) mod options;

use options::Setting;

/// What `#[distri::service]` stands on.
pub(crate) enum Target {
    /// `impl WordCount { … }`
    Impl(ItemImpl),
    /// `impl Thumbnails for FastThumbnails { … }`
    TraitImpl(ItemImpl),
    /// `trait Thumbnails { … }`
    Trait(ItemTrait),
    /// Anything else.
    Other(Box<Item>),
}

/// A function of the item, without its body.
pub(crate) struct Function {
    pub(crate) attributes: Vec<Attribute>,
    /// The options of its `#[method(…)]`.
    pub(crate) settings: Vec<Setting>,
    /// Its `#[method]` attributes; more than one is a mistake.
    pub(crate) method_attributes: Vec<Attribute>,
    pub(crate) signature: Signature,
    /// Doc comments and other attributes of each parameter, which the item lost.
    pub(crate) parameter_attributes: Vec<Vec<Attribute>>,
}

impl Target {
    pub(crate) fn parse(item: TokenStream) -> syn::Result<Self> {
        Ok(match syn::parse2(item)? {
            Item::Impl(item) if item.trait_.is_some() => Self::TraitImpl(item),
            Item::Impl(item) => Self::Impl(item),
            Item::Trait(item) => Self::Trait(item),
            other => Self::Other(Box::new(other)),
        })
    }
}

/// Takes the functions out of an `impl`, and from the item what only distri understands.
pub(crate) fn functions_of_impl(item: &mut ItemImpl, complaints: &mut Complaints) -> Vec<Function> {
    let mut functions = Vec::new();
    for item in &mut item.items {
        if let ImplItem::Fn(function) = item {
            functions.push(read(&mut function.attrs, &mut function.sig, complaints));
        }
    }
    functions
}

/// As [`functions_of_impl`], for a trait.
pub(crate) fn functions_of_trait(
    item: &mut ItemTrait,
    complaints: &mut Complaints,
) -> Vec<Function> {
    let mut functions = Vec::new();
    for item in &mut item.items {
        if let TraitItem::Fn(function) = item {
            functions.push(read(&mut function.attrs, &mut function.sig, complaints));
        }
    }
    functions
}

/// Takes the `#[method]` attributes out of an `impl` of a trait.
pub(crate) fn method_attributes_of_impl(item: &mut ItemImpl) -> Vec<Attribute> {
    let mut taken = Vec::new();
    for item in &mut item.items {
        if let ImplItem::Fn(function) = item {
            taken.extend(
                function
                    .attrs
                    .extract_if(.., |attribute| is(attribute, "method")),
            );
        }
    }
    taken
}

fn read(
    attributes: &mut Vec<Attribute>,
    signature: &mut Signature,
    complaints: &mut Complaints,
) -> Function {
    let method_attributes: Vec<_> = attributes
        .extract_if(.., |attribute| is(attribute, "method"))
        .collect();
    let parameter_attributes = take_parameter_attributes(&mut signature.inputs);
    let settings = options::of_attributes(&method_attributes, complaints);
    Function {
        attributes: attributes.clone(),
        settings,
        method_attributes,
        signature: signature.clone(),
        parameter_attributes,
    }
}

/// The compiler refuses doc comments on parameters, so they may not stay where they are.
fn take_parameter_attributes(
    inputs: &mut punctuated::Punctuated<FnArg, syn::Token![,]>,
) -> Vec<Vec<Attribute>> {
    let mut taken = Vec::new();
    for input in inputs {
        taken.push(match input {
            FnArg::Receiver(receiver) => std::mem::take(&mut receiver.attrs),
            FnArg::Typed(argument) => std::mem::take(&mut argument.attrs),
        });
    }
    taken
}

/// Whether `attribute` is the one-word attribute `name`.
pub(crate) fn is(attribute: &Attribute, name: &str) -> bool {
    attribute.path().is_ident(name)
}

/// The `#[cfg]`s of an item, under which all that is generated for it stands too.
pub(crate) fn cfgs(attributes: &[Attribute]) -> Vec<Attribute> {
    attributes
        .iter()
        .filter(|attribute| is(attribute, "cfg"))
        .cloned()
        .collect()
}

/// Whether the path of `attribute` ends in `name`: `#[async_trait::async_trait]`.
pub(crate) fn ends_in(attribute: &Attribute, name: &str) -> bool {
    attribute
        .path()
        .segments
        .last()
        .is_some_and(|segment| segment.ident == name)
}

/// The last word of a path type: `Stream` of `distri::Stream<T>`.
pub(crate) fn last_segment(ty: &Type) -> Option<&syn::PathSegment> {
    match ty {
        Type::Path(path) => path.path.segments.last(),
        Type::Group(group) => last_segment(&group.elem),
        Type::Paren(paren) => last_segment(&paren.elem),
        _ => None,
    }
}

/// The text of the doc comments among `attributes`, one line per line, without the leading space
/// that everybody writes.
pub(crate) fn docs(attributes: &[Attribute]) -> String {
    let mut lines = Vec::new();
    for attribute in attributes {
        if let syn::Meta::NameValue(pair) = &attribute.meta
            && pair.path.is_ident("doc")
            && let syn::Expr::Lit(literal) = &pair.value
            && let syn::Lit::Str(text) = &literal.lit
        {
            let text = text.value();
            lines.extend(
                text.split('\n')
                    .map(|line| line.strip_prefix(' ').unwrap_or(line).trim_end().to_owned()),
            );
        }
    }
    lines.join("\n").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use syn::parse_quote;

    use super::*;

    #[test]
    fn a_doc_comment_keeps_its_lines_and_inner_indentation() {
        let attributes: Vec<Attribute> = vec![
            parse_quote!(#[doc = " Counts words."]),
            parse_quote!(#[doc = ""]),
            parse_quote!(#[doc = "     let n = 1;"]),
            parse_quote!(#[doc(hidden)]),
        ];

        assert_eq!(docs(&attributes), "Counts words.\n\n    let n = 1;");
    }

    #[test]
    fn only_what_distri_understands_is_taken_out_of_the_item() {
        let mut item: ItemImpl = parse_quote! {
            impl WordCount {
                /// Counts.
                #[method(idempotent)]
                #[inline]
                async fn count(&self, #[doc = " Any text."] text: String) -> Result<usize> { Ok(1) }
            }
        };

        let functions = functions_of_impl(&mut item, &mut Complaints::default());

        let expected: ItemImpl = parse_quote! {
            impl WordCount {
                /// Counts.
                #[inline]
                async fn count(&self, text: String) -> Result<usize> { Ok(1) }
            }
        };
        assert_eq!(
            quote::quote!(#item).to_string(),
            quote::quote!(#expected).to_string()
        );
        assert_eq!(functions[0].settings.len(), 1);
        assert_eq!(docs(&functions[0].parameter_attributes[1]), "Any text.");
    }

    #[test]
    fn the_three_forms_are_told_apart() {
        let form = |item: TokenStream| match Target::parse(item).unwrap() {
            Target::Impl(_) => "impl",
            Target::TraitImpl(_) => "trait impl",
            Target::Trait(_) => "trait",
            Target::Other(_) => "other",
        };

        assert_eq!(form(parse_quote!(impl WordCount {})), "impl");
        assert_eq!(
            form(parse_quote!(impl Count for WordCount {})),
            "trait impl"
        );
        assert_eq!(
            form(parse_quote!(
                pub trait Count {}
            )),
            "trait"
        );
        assert_eq!(
            form(parse_quote!(
                struct WordCount;
            )),
            "other"
        );
    }
}
