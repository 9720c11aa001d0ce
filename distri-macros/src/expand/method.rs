//! The types that stand for a method, and the descriptor of the service.
//!
//! ```text
//! enum __method_count {}                                  the method, as a type
//! impl Takes<0> for __method_count { type Argument = String; }
//! struct __arguments_of_count<M: Takes<0>> { text: Argument<M, 0> }
//! impl Method for __method_count { type Arguments = …; type Output = usize; … }
//! ```
//!
//! Everything else names the types of arguments and results only through these impls. So a type
//! that cannot travel is an error in one place, at the user's own token, and not in each of the
//! half dozen places that would serialize it.

use std::time::Duration;

use proc_macro2::{Literal, TokenStream};
use quote::{quote, quote_spanned};

use crate::{
    model::{Access, Interface, Method, Placement},
    name, parse,
};

pub(crate) fn types_and_descriptor(interface: &Interface) -> TokenStream {
    let types = interface
        .methods
        .iter()
        .enumerate()
        .map(|(index, method)| types(index, method));
    let descriptor = descriptor(interface);
    quote!(#(#types)* #descriptor)
}

fn types(index: usize, method: &Method) -> TokenStream {
    let marker = name::method(&method.ident);
    let (arguments, arguments_type) = arguments(method);
    let takes = method
        .arguments
        .iter()
        .enumerate()
        .map(|(place, argument)| {
            let ty = &argument.ty;
            quote! {
                impl ::distri::__private::Takes<#place> for #marker { type Argument = #ty; }
            }
        });
    let list = method
        .arguments
        .iter()
        .enumerate()
        .map(|(place, argument)| {
            let name = &argument.name;
            let docs = parse::docs(&argument.attributes);
            quote!(list.add::<Self, #place>(#name, #docs);)
        });
    let output = &method.output;
    quote! {
        enum #marker {}
        #(#takes)*
        #arguments
        impl ::distri::__private::Method for #marker {
            type Arguments = #arguments_type;
            type Output = #output;
            const INDEX: usize = #index;
            fn service() -> &'static ::distri::service::ServiceDescriptor { __descriptor() }
            #[allow(unused_variables, reason = "not every method takes arguments")]
            fn list_arguments(list: &mut ::distri::__private::ArgumentList<'_>) { #(#list)* }
        }
    }
}

/// The struct that carries the arguments, and its type for this method.
fn arguments(method: &Method) -> (TokenStream, TokenStream) {
    let marker = name::method(&method.ident);
    let arguments = name::arguments(&method.ident);
    let derive = quote! {
        #[derive(
            ::distri::__private::serde::Serialize,
            ::distri::__private::serde::Deserialize,
        )]
    };
    let expecting = expecting(method);
    let options = quote! {
        #[serde(crate = "::distri::__private::serde", bound = "", expecting = #expecting)]
    };
    if method.arguments.is_empty() {
        return (
            quote!(#derive #options struct #arguments {}),
            quote!(#arguments),
        );
    }
    let takes = (0..method.arguments.len()).map(|place| quote!(::distri::__private::Takes<#place>));
    let fields = method
        .arguments
        .iter()
        .enumerate()
        .map(|(place, argument)| {
            let (ident, name) = (&argument.ident, &argument.name);
            quote!(#[serde(rename = #name)] #ident: ::distri::__private::Argument<M, #place>)
        });
    let declaration = quote! {
        #derive
        #options
        struct #arguments<M: #(#takes)+*> { #(#fields),* }
    };
    (declaration, quote!(#arguments<#marker>))
}

/// What a caller is told who sends something else, after "invalid type: …, expected".
fn expecting(method: &Method) -> String {
    let names: Vec<_> = method
        .arguments
        .iter()
        .map(|argument| format!("`{}`", argument.name))
        .collect();
    match names.as_slice() {
        [] => format!("no arguments for `{}`", method.name),
        [one] => format!("the argument {one} of `{}`", method.name),
        [first @ .., last] => {
            format!(
                "the arguments {} and {last} of `{}`",
                first.join(", "),
                method.name
            )
        }
    }
}

fn descriptor(interface: &Interface) -> TokenStream {
    let Interface {
        name,
        version,
        docs,
        methods,
        ..
    } = interface;
    let version = Literal::u32_unsuffixed(*version);
    let methods = methods.iter().map(method_descriptor);
    quote! {
        fn __descriptor() -> &'static ::distri::service::ServiceDescriptor {
            static DESCRIPTOR: ::std::sync::OnceLock<::distri::service::ServiceDescriptor> =
                ::std::sync::OnceLock::new();
            DESCRIPTOR.get_or_init(|| {
                ::distri::service::ServiceDescriptor::new(#name)
                    .version(#version)
                    .docs(#docs)
                    #(.method(#methods))*
            })
        }
    }
}

fn method_descriptor(method: &Method) -> TokenStream {
    let Method { name, docs, .. } = method;
    let marker = name::method(&method.ident);
    let mut descriptor = quote!(::distri::__private::describe::<#marker>(#name).docs(#docs));
    if method.client_streams {
        descriptor.extend(quote!(.client_streams()));
    }
    if method.server_streams {
        descriptor.extend(quote!(.server_streams()));
    }
    if method.idempotent {
        descriptor.extend(quote!(.idempotent()));
    }
    if method.once {
        descriptor.extend(quote!(.once()));
    }
    if let Some(hedge) = method.hedge.map(duration) {
        descriptor.extend(quote!(.hedge(#hedge)));
    }
    if let Some(timeout) = method.timeout.map(duration) {
        descriptor.extend(quote!(.timeout(#timeout)));
    }
    if let Some(concurrency) = method.concurrency {
        descriptor.extend(quote!(.concurrency(#concurrency)));
    }
    if let Some(access) = access(&method.access) {
        descriptor.extend(quote!(.access(::distri::service::Access::#access)));
    }
    if let Some(placement) = placement(method) {
        descriptor.extend(quote!(.placement(::distri::service::Placement::#placement)));
    }
    descriptor
}

fn duration(duration: Duration) -> TokenStream {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    quote!(::core::time::Duration::from_millis(#millis))
}

fn access(access: &Access) -> Option<TokenStream> {
    Some(match access {
        Access::Public => return None,
        Access::Authenticated => quote!(Authenticated),
        Access::Member => quote!(Member),
        Access::Node => quote!(Node),
        Access::Role(role) => quote!(Role(::std::string::String::from(#role))),
    })
}

fn placement(method: &Method) -> Option<TokenStream> {
    Some(match method.placement {
        Placement::Any => return None,
        Placement::Leader => quote!(Leader),
        Placement::Every => quote!(Every),
        Placement::Key(place) => {
            let key = &method.arguments[place].name;
            quote!(Key(::std::string::String::from(#key)))
        }
    })
}

/// A function that serves any call of these methods. `callee` is the path before `::count`,
/// `service` what its methods are called on.
pub(crate) fn dispatch(
    methods: &[Method],
    callee: &TokenStream,
    service: &TokenStream,
) -> TokenStream {
    let arms = methods.iter().enumerate().map(|(index, method)| {
        let Method {
            ident, output_span, ..
        } = method;
        let marker = name::method(ident);
        let cx = method.takes_context.then(|| quote!(&cx,));
        let fields = method.arguments.iter().map(|argument| &argument.ident);
        let reply = quote_spanned! {*output_span=>
            ::distri::__private::reply::<#marker, _>(request, result)
        };
        let served = quote_spanned! {ident.span()=>
            #callee::#ident(&*#service, #cx #(arguments.#fields.0),*)
        };
        let (own, served) = match method.placement {
            Placement::Key(place) => {
                let key = &method.arguments[place].ident;
                let own = quote! {
                    let owned = ::distri::__private::own::<#marker, #place>(&cx, &arguments.#key.0)?;
                };
                (own, quote_spanned!(ident.span()=> owned.run(#served).await?))
            }
            Placement::Any | Placement::Leader | Placement::Every => (
                TokenStream::new(),
                quote_spanned!(ident.span()=> #served.await),
            ),
        };
        let body = quote_spanned! {ident.span()=>
            ::std::boxed::Box::pin(async move {
                let arguments = ::distri::__private::arguments::<#marker>(&mut request)?;
                #own
                let result = #served;
                #reply
            })
        };
        quote!(#index => #body,)
    });
    quote! {
        match request.method() {
            #(#arms)*
            _ => ::std::boxed::Box::pin(async move {
                ::core::result::Result::Err(request.unknown_method())
            }),
        }
    }
}
