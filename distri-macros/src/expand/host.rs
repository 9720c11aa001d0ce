//! What makes a type a service that nodes host: `impl Service`, and its registration.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::{Path, Type, spanned::Spanned};

use crate::{
    expand::method,
    model::{Host, Interface, Start},
};

/// `impl Service` for the `impl` form.
pub(crate) fn of_methods(interface: &Interface, host: &Host) -> TokenStream {
    let ty = &host.ty;
    let dispatch = method::dispatch(&interface.methods, &quote!(<#ty>), &quote!(self));
    implementation(host, &quote!(__descriptor()), &dispatch)
}

/// `impl Service` for an implementation of the interface `path`.
pub(crate) fn of_interface(path: &Path, host: &Host) -> TokenStream {
    let ty = &host.ty;
    let span = path
        .segments
        .last()
        .map_or_else(|| path.span(), |segment| segment.ident.span());
    // The name is what a user reads who forgot the attribute on the trait.
    let span = Span::call_site().located_at(span);
    let interface = quote_spanned!(span=> <#ty as #path>::__MARK_THE_TRAIT_WITH_DISTRI_SERVICE);
    let service = implementation(
        host,
        &quote!((__INTERFACE.descriptor)()),
        &quote!((__INTERFACE.call)(self, cx, request)),
    );
    quote! {
        const __INTERFACE: ::distri::__private::Interface<#ty> = #interface;
        #service
    }
}

fn implementation(host: &Host, descriptor: &TokenStream, call: &TokenStream) -> TokenStream {
    let ty = &host.ty;
    let health = host.health.as_ref().map(|path| {
        let path = of_type(path, ty);
        let call = quote_spanned!(path.span()=> #path(self));
        quote! {
            fn health(&self) -> ::distri::service::Health { #call }
        }
    });
    let collections = host.collections.as_ref().map(|path| {
        let path = of_type(path, ty);
        let call = quote_spanned!(path.span()=> #path(self));
        quote! {
            fn collections(&self) -> ::std::vec::Vec<::distri::directory::CollectionSpec> { #call }
        }
    });
    let stop = host.stop.as_ref().map(|path| {
        let path = of_type(path, ty);
        let stopped = quote_spanned!(path.span()=> ::distri::__private::stopped(#path(self)));
        quote! {
            fn stop<'life0, 'async_trait>(
                &'life0 self,
            ) -> ::distri::service::BoxFuture<'async_trait, ()>
            where
                'life0: 'async_trait,
                Self: 'async_trait,
            {
                #stopped
            }
        }
    });
    quote! {
        #[automatically_derived]
        impl ::distri::service::Service for #ty {
            fn descriptor(&self) -> &'static ::distri::service::ServiceDescriptor { #descriptor }

            #[allow(unused_mut, unused_variables, reason = "not every method takes everything")]
            fn call<'async_trait>(
                self: ::std::sync::Arc<Self>,
                cx: ::distri::Context,
                mut request: ::distri::service::Request,
            ) -> ::distri::service::BoxFuture<
                'async_trait,
                ::distri::Result<::distri::service::Reply>,
            >
            where
                Self: 'async_trait,
            {
                #call
            }

            #health
            #collections
            #stop
        }
    }
}

/// The registration under `name`; nothing for a service that is only added by hand.
pub(crate) fn registration(
    host: &Host,
    name: &impl ToTokens,
    descriptor: &TokenStream,
) -> TokenStream {
    let ty = &host.ty;
    let make = match &host.start {
        Start::ByHand => return TokenStream::new(),
        Start::Default => {
            quote_spanned!(ty.span()=> ::distri::__private::by_default::<#ty>(&config))
        }
        Start::Init(path) => {
            let path = of_type(path, ty);
            quote_spanned! {path.span()=>
                ::distri::__private::started::<#ty, _, _, _>(#path, node, &config)
            }
        }
    };
    quote! {
        #[allow(unused_variables, reason = "not every service looks at its node")]
        fn __make<'a>(
            node: &'a ::distri::NodeHandle,
            config: ::distri::ServiceConfig,
        ) -> ::distri::service::BoxFuture<
            'a,
            ::distri::Result<::std::sync::Arc<dyn ::distri::service::Service>>,
        > {
            #make
        }
        ::distri::__private::inventory::submit! {
            ::distri::registry::Registration::new(#name, #descriptor, __make)
        }
    }
}

/// `Self::open` as a path that holds outside of the `impl`.
fn of_type(path: &Path, ty: &Type) -> TokenStream {
    let mut segments = path.segments.iter();
    match segments.next() {
        Some(first) if first.ident == "Self" && path.segments.len() > 1 => {
            quote_spanned!(path.span()=> <#ty>#(::#segments)*)
        }
        _ => path.to_token_stream(),
    }
}
