//! The list in `#[distri::service(…)]` and `#[method(…)]`: names, some with a value.

use proc_macro2::TokenStream;
use syn::{
    Attribute, Expr, Ident, Meta, Token,
    ext::IdentExt,
    parse::{ParseStream, Parser},
    token,
};

use crate::complaints::Complaints;

/// One entry of the list.
#[derive(Clone)]
pub(crate) struct Setting {
    pub(crate) name: Ident,
    pub(crate) value: Value,
}

/// What follows the name.
#[derive(Clone)]
pub(crate) enum Value {
    /// Nothing: `idempotent`.
    None,
    /// `timeout = "5s"`.
    Is(Box<Expr>),
    /// `timeout("5s")`, which no option takes.
    List,
}

/// The settings of all attributes given; what cannot be read is complained of and left out.
pub(crate) fn of_attributes(attributes: &[Attribute], complaints: &mut Complaints) -> Vec<Setting> {
    let mut settings = Vec::new();
    for attribute in attributes {
        match &attribute.meta {
            Meta::Path(_) => {}
            Meta::List(list) => settings.extend(of_tokens(list.tokens.clone(), complaints)),
            Meta::NameValue(pair) => {
                complaints.at(
                    pair,
                    "options stand in parentheses, as in #[method(idempotent)]",
                );
            }
        }
    }
    settings
}

/// The settings in `tokens`; what cannot be read is complained of and left out.
pub(crate) fn of_tokens(tokens: TokenStream, complaints: &mut Complaints) -> Vec<Setting> {
    let parser = |input: ParseStream<'_>| {
        let mut settings = Vec::new();
        while !input.is_empty() {
            match setting(input) {
                Ok(setting) => settings.push(setting),
                Err(error) => {
                    complaints.add(error);
                    skip_to_comma(input)?;
                }
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(settings)
    };
    parser.parse2(tokens).unwrap_or_else(|error| {
        complaints.add(error);
        Vec::new()
    })
}

fn setting(input: ParseStream<'_>) -> syn::Result<Setting> {
    if !input.peek(Ident::peek_any) {
        return Err(input.error("expected the name of an option, as in `timeout = \"5s\"`"));
    }
    let name = input.call(Ident::parse_any)?;
    let value = if input.peek(Token![=]) {
        let equals: Token![=] = input.parse()?;
        if input.is_empty() || input.peek(Token![,]) {
            let message = format!("`{name}` has no value; write one after the `=`");
            return Err(syn::Error::new_spanned(equals, message));
        }
        Value::Is(Box::new(input.parse()?))
    } else if input.peek(token::Paren) {
        let list;
        syn::parenthesized!(list in input);
        list.parse::<TokenStream>()?;
        Value::List
    } else {
        Value::None
    };
    if !input.is_empty() && !input.peek(Token![,]) {
        return Err(input.error("expected `,` between two options"));
    }
    Ok(Setting { name, value })
}

fn skip_to_comma(input: ParseStream<'_>) -> syn::Result<()> {
    while !input.is_empty() && !input.peek(Token![,]) {
        input.parse::<proc_macro2::TokenTree>()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use quote::quote;

    use super::*;

    fn names(tokens: TokenStream) -> (Vec<String>, Vec<String>) {
        let mut complaints = Complaints::default();
        let settings = of_tokens(tokens, &mut complaints);
        let names = settings
            .iter()
            .map(|setting| setting.name.to_string())
            .collect();
        (names, complaints.messages())
    }

    #[test]
    fn settings_come_with_and_without_a_value() {
        let mut complaints = Complaints::default();

        let settings = of_tokens(
            quote!(idempotent, timeout = "5s", init = A::<B, C>::d,),
            &mut complaints,
        );

        assert!(complaints.is_empty());
        assert!(matches!(settings[0].value, Value::None));
        assert!(matches!(settings[1].value, Value::Is(_)));
        assert!(matches!(settings[2].value, Value::Is(_)));
        assert_eq!(settings.len(), 3);
    }

    #[test]
    fn what_cannot_be_read_does_not_hide_the_rest() {
        let (names, complaints) = names(quote!(5, idempotent, timeout =, version 2, access = node));

        assert_eq!(names, ["idempotent", "access"]);
        assert_eq!(
            complaints,
            [
                "expected the name of an option, as in `timeout = \"5s\"`",
                "`timeout` has no value; write one after the `=`",
                "expected `,` between two options",
            ]
        );
    }

    #[test]
    fn a_keyword_is_read_as_a_name() {
        let (names, complaints) = names(quote!(async, type = 3));

        assert_eq!(names, ["async", "type"]);
        assert!(complaints.is_empty());
    }
}
