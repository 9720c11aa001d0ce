//! What is generated after a mistake: the same names and types, and functions that never run.
//!
//! Without it, each use of the client would be an error of its own, and the one that matters would
//! drown among them.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{ItemImpl, ItemTrait};

use crate::{
    check::{Declaration, Implementation},
    expand::{client, interface},
    model::{BrokenMethod, Interface},
};

/// As [`super::implementation`].
pub(crate) fn implementation(item: &ItemImpl, checked: &Implementation) -> TokenStream {
    let client = client(&checked.interface, &checked.broken);
    let host = host(item);
    quote!(#client #host)
}

/// As [`super::declaration`].
pub(crate) fn declaration(item: ItemTrait, checked: &Declaration) -> TokenStream {
    let client = client(&checked.interface, &checked.broken);
    let (ident, client_ident) = (&item.ident, &checked.interface.client);
    let is_generic = !item.generics.params.is_empty();
    let serves = (!is_generic).then(|| {
        quote! {
            impl<S: #ident + ?::core::marker::Sized> ::distri::__private::Serves<S> for #client_ident {
                const INTERFACE: ::distri::__private::Interface<S> =
                    ::distri::__private::Interface {
                        name: "",
                        descriptor: || loop {},
                        call: |_, _, _| loop {},
                    };
            }
        }
    });
    let reached_by = (!is_generic).then_some(client_ident);
    let item = interface::with_sendable_futures(item.clone(), reached_by);
    quote!(#item #client #serves)
}

/// As [`super::trait_implementation`]: a `Service` implementation that says nothing.
pub(crate) fn host(item: &ItemImpl) -> TokenStream {
    if !item.generics.params.is_empty() {
        return TokenStream::new();
    }
    let ty = &item.self_ty;
    quote! {
        impl ::distri::service::Service for #ty {
            fn descriptor(&self) -> &'static ::distri::service::ServiceDescriptor { loop {} }

            fn call<'async_trait>(
                self: ::std::sync::Arc<Self>,
                _: ::distri::Context,
                _: ::distri::service::Request,
            ) -> ::distri::service::BoxFuture<
                'async_trait,
                ::distri::Result<::distri::service::Reply>,
            >
            where
                Self: 'async_trait,
            {
                loop {}
            }
        }
    }
}

fn client(interface: &Interface, broken: &[BrokenMethod]) -> TokenStream {
    let declaration = client::declaration(interface);
    let ident = &interface.client;
    let heads = interface.methods.iter().map(client::head);
    let broken = broken.iter().map(|method| {
        let BrokenMethod {
            ident,
            arity,
            output,
        } = method;
        let arguments = (0..*arity).map(|_| quote!(_: impl ::core::marker::Sized));
        quote! {
            #[doc = "Has a mistake."]
            pub fn #ident(&self, #(#arguments),*) -> ::distri::Call<#output> { loop {} }
        }
    });
    quote! {
        #declaration
        #[allow(dead_code, unused_variables, clippy::all, reason = "follows a compile error")]
        impl #ident {
            #[doc = "Calls go through `client`."]
            pub fn new(client: impl ::core::convert::Into<::distri::Client>) -> Self { loop {} }
            #[doc = "What the service offers."]
            pub fn descriptor() -> &'static ::distri::service::ServiceDescriptor { loop {} }
            #(#heads { loop {} })*
            #(#broken)*
        }
    }
}
