//! The attributes `#[distri::service]` and `#[distri::message]`.
//!
//! What they do is documented where users meet them, on the re-exports in `distri`. Here, code
//! passes through three stages that do not overlap:
//!
//! - `parse`: tokens become small types of our own; only what cannot be read is refused.
//! - `check`: every rule, and every complaint that a user can see. All complaints are collected,
//!   each at the token that it is about. What passes is the `model`.
//! - `expand`: the model becomes code. No decisions are left, and nothing can fail.
//!
//! The user's item is always emitted again, so the editor keeps working on it, and after a mistake
//! the generated types are still there in a form that compiles: one mistake gives one message.
//! Generated paths are absolute and go through `::distri`, so the user needs no other dependency.

use proc_macro2::TokenStream;
use quote::quote;

mod check;
mod complaints;
mod expand;
mod model;
mod name;
mod parse;

use complaints::Complaints;
use parse::Target;

#[allow(
    missing_docs,
    reason = "documented on the re-export, where its examples can run"
)]
#[proc_macro_attribute]
pub fn service(
    options: proc_macro::TokenStream,
    item: proc_macro::TokenStream,
) -> proc_macro::TokenStream {
    service_tokens(options.into(), item.into()).into()
}

#[allow(
    missing_docs,
    reason = "documented on the re-export, where its examples can run"
)]
#[proc_macro_attribute]
pub fn message(
    options: proc_macro::TokenStream,
    item: proc_macro::TokenStream,
) -> proc_macro::TokenStream {
    message_tokens(options.into(), item.into()).into()
}

fn service_tokens(options: TokenStream, item: TokenStream) -> TokenStream {
    let mut complaints = Complaints::default();
    let settings = parse::options::of_tokens(options, &mut complaints);
    let target = match Target::parse(item.clone()) {
        Ok(target) => target,
        Err(error) => {
            complaints.add(error);
            let errors = complaints.into_compile_errors();
            return quote!(#item #errors);
        }
    };
    let generated = match target {
        Target::Impl(mut item) => {
            let cfgs = parse::cfgs(&item.attrs);
            let functions = parse::functions_of_impl(&mut item, &mut complaints);
            let checked = check::implementation(&settings, &mut item, &functions, &mut complaints);
            let generated = match checked {
                Some(checked) if complaints.is_empty() => expand::implementation(&cfgs, &checked),
                Some(checked) => expand::stub::implementation(&item, &checked),
                None => TokenStream::new(),
            };
            // That a method is async is our demand, not the author's choice.
            quote! {
                #[allow(clippy::unused_async, reason = "methods of a service are async")]
                #item
                #generated
            }
        }
        Target::Trait(mut item) => {
            let cfgs = parse::cfgs(&item.attrs);
            let functions = parse::functions_of_trait(&mut item, &mut complaints);
            let checked = check::declaration(&settings, &mut item, &functions, &mut complaints);
            if complaints.is_empty() {
                expand::declaration(&cfgs, item, &checked)
            } else {
                expand::stub::declaration(item, &checked)
            }
        }
        Target::TraitImpl(mut item) => {
            let cfgs = parse::cfgs(&item.attrs);
            let attributes = parse::method_attributes_of_impl(&mut item);
            let checked =
                check::trait_implementation(&settings, &mut item, &attributes, &mut complaints);
            let generated = match checked {
                Some(checked) if complaints.is_empty() => {
                    expand::trait_implementation(&cfgs, &checked)
                }
                Some(_) => expand::stub::host(&item),
                None => TokenStream::new(),
            };
            quote!(#item #generated)
        }
        Target::Other(item) => {
            check::refuse(&item, &mut complaints);
            quote!(#item)
        }
    };
    let errors = complaints.into_compile_errors();
    quote!(#generated #errors)
}

fn message_tokens(options: TokenStream, item: TokenStream) -> TokenStream {
    let mut complaints = Complaints::default();
    let mut parsed = match syn::parse2(item.clone()) {
        Ok(parsed) => parsed,
        Err(error) => {
            complaints.add(error);
            let errors = complaints.into_compile_errors();
            return quote!(#item #errors);
        }
    };
    let checked = check::message::check(options, &mut parsed, &mut complaints);
    let derives = checked.as_ref().map(expand::message);
    let errors = complaints.into_compile_errors();
    quote!(#derives #parsed #errors)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_compiler_is_asked_about_fields_in_our_words_before_the_derives_ask_in_theirs() {
        let tokens = message_tokens(
            quote!(),
            quote!(
                struct Size {
                    width: Pixels,
                }
            ),
        );

        let text = tokens.to_string().replace(' ', "");
        let ours = text.find("travels::<Pixels>").unwrap();
        assert!(ours < text.find("Serialize").unwrap());
    }

    #[test]
    fn an_item_that_cannot_be_read_is_given_back() {
        for tokens in [
            service_tokens(quote!(), quote!(impl { fn half })),
            message_tokens(quote!(), quote!(struct { half })),
        ] {
            let text = tokens.to_string();
            assert!(
                text.contains("half") && text.contains("compile_error"),
                "{text}"
            );
        }
    }
}
