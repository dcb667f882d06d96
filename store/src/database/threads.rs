//! What may go from one thread to another, where there are several. In WebAssembly there is one, and what belongs to JavaScript stays
//! there.

#[cfg(not(target_family = "wasm"))]
mod several {
    /// [`Send`].
    pub trait MaybeSend: Send {}
    impl<T: Send + ?Sized> MaybeSend for T {}

    /// [`Sync`].
    pub trait MaybeSync: Sync {}
    impl<T: Sync + ?Sized> MaybeSync for T {}
}

#[cfg(target_family = "wasm")]
mod one {
    /// Everything.
    pub trait MaybeSend {}
    impl<T: ?Sized> MaybeSend for T {}

    /// Everything.
    pub trait MaybeSync {}
    impl<T: ?Sized> MaybeSync for T {}
}

#[cfg(target_family = "wasm")]
pub use one::{MaybeSend, MaybeSync};
#[cfg(not(target_family = "wasm"))]
pub use several::{MaybeSend, MaybeSync};
