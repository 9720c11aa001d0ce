//! The typed client: one function per method, with the method's own arguments.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote};

use crate::{
    model::{Interface, Method, Placement},
    name,
};

/// The type itself.
pub(crate) fn declaration(interface: &Interface) -> TokenStream {
    let Interface {
        name,
        docs,
        client,
        visibility,
        ..
    } = interface;
    let summary = match docs.split("\n\n").next() {
        Some(docs) if !docs.is_empty() => format!("Calls `{name}`: {docs}"),
        _ => format!("Calls the service `{name}`."),
    };
    quote! {
        #[doc = #summary]
        #[derive(::core::clone::Clone, ::core::fmt::Debug)]
        #[allow(dead_code, unreachable_pub, reason = "not every program that serves also calls")]
        #visibility struct #client {
            client: ::distri::Client,
        }
    }
}

/// Its functions.
pub(crate) fn functions(interface: &Interface) -> TokenStream {
    let client = &interface.client;
    let calls = interface.methods.iter().map(call);
    quote! {
        #[automatically_derived]
        impl #client {
            /// Calls go through `client`; a `&Context` is one too, whose calls inherit its deadline.
            pub fn new(client: impl ::core::convert::Into<::distri::Client>) -> Self {
                Self { client: ::core::convert::Into::into(client) }
            }

            /// What the service offers.
            pub fn descriptor() -> &'static ::distri::service::ServiceDescriptor {
                __descriptor()
            }

            #(#calls)*
        }
    }
}

fn call(method: &Method) -> TokenStream {
    let head = head(method);
    let marker = name::method(&method.ident);
    let arguments = name::arguments(&method.ident);
    let fields = method.arguments.iter().map(|argument| {
        let ident = &argument.ident;
        quote!(#ident: ::distri::__private::Carried(#ident))
    });
    let arguments = quote!(#arguments { #(#fields),* });
    match method.placement {
        Placement::Any | Placement::Leader => quote! {
            #head { ::distri::__private::call::<#marker>(&self.client, #arguments) }
        },
        Placement::Every => quote! {
            #head { ::distri::__private::gather::<#marker>(&self.client, #arguments) }
        },
        Placement::Key(place) => {
            let ident = &method.arguments[place].ident;
            // Not the name of any argument.
            let key = Ident::new("key", Span::mixed_site());
            quote! {
                #head {
                    let #key = ::distri::__private::placement_key::<#marker, #place>(&#ident);
                    ::distri::__private::call::<#marker>(&self.client, #arguments).placed_by(#key)
                }
            }
        }
    }
}

/// The function without its body.
pub(crate) fn head(method: &Method) -> TokenStream {
    let Method {
        ident,
        attributes,
        output,
        ..
    } = method;
    let docs = method.docs.is_empty().then(|| {
        let docs = format!("Calls `{}`.", method.name);
        quote!(#[doc = #docs])
    });
    let arguments = method.arguments.iter().map(|argument| {
        let (ident, ty) = (&argument.ident, &argument.ty);
        quote!(#ident: #ty)
    });
    let call = match method.placement {
        Placement::Any | Placement::Leader | Placement::Key(_) => quote!(Call),
        Placement::Every => quote!(Gather),
    };
    let attributes = attributes.iter().map(ToTokens::to_token_stream);
    quote! {
        #docs
        #(#attributes)*
        pub fn #ident(&self, #(#arguments),*) -> ::distri::#call<#output>
    }
}
