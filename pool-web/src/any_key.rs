//! [`AnyKey`]: keys of whatever type in one, so that the pools of all node types are the same code, which a page downloads
//! once and not once for each.

use crate::key::BufferKey;
use alloc::rc::Rc;
use core::any::{Any, TypeId};
use core::hash::{Hash, Hasher};

pub(crate) trait ErasedKey {
    fn is_equal(&self, other: &dyn ErasedKey) -> bool;
    fn hash_into(&self, hasher: &mut dyn Hasher);
    fn as_any(&self) -> &dyn Any;
}

impl<K: Eq + Hash + 'static> ErasedKey for K {
    fn is_equal(&self, other: &dyn ErasedKey) -> bool {
        other.as_any().downcast_ref::<K>().is_some_and(|other| self == other)
    }

    fn hash_into(&self, mut hasher: &mut dyn Hasher) {
        self.hash(&mut hasher);
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// A key of a type that is no longer known. `()` and the shape of a buffer allocate nothing.
#[derive(Clone)]
pub(crate) enum AnyKey {
    None,
    Buffer(BufferKey),
    Of(Rc<dyn ErasedKey>),
}

impl AnyKey {
    pub(crate) fn new<K: Clone + Eq + Hash + 'static>(key: &K) -> Self {
        if TypeId::of::<K>() == TypeId::of::<()>() { Self::None } else { Self::Of(Rc::new(key.clone())) }
    }

    /// The shape of a buffer again.
    pub(crate) fn buffer(&self) -> Option<&BufferKey> {
        if let Self::Buffer(key) = self { Some(key) } else { None }
    }

    /// The key again; `None` if it is of another type.
    pub(crate) fn get<K: 'static>(&self) -> Option<&K> {
        match self {
            Self::None => (&() as &dyn Any).downcast_ref(),
            Self::Buffer(key) => (key as &dyn Any).downcast_ref(),
            // Not of the pointer itself, which would be a key as well.
            Self::Of(key) => (**key).as_any().downcast_ref(),
        }
    }
}

impl PartialEq for AnyKey {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::None, Self::None) => true,
            (Self::Buffer(a), Self::Buffer(b)) => a == b,
            (Self::Of(a), Self::Of(b)) => a.is_equal(&**b),
            _ => false,
        }
    }
}

impl Eq for AnyKey {}

impl Hash for AnyKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Self::None => {}
            Self::Buffer(key) => state.write_u16(key.digest()),
            Self::Of(key) => key.hash_into(state),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::DelayKey;

    // Keys that are mixed up would give a delay with another line, or the node of another type.
    #[test]
    fn keys_keep_type_and_value() {
        let delay = |seconds| AnyKey::new(&DelayKey::new(seconds).expect("a length"));
        assert!(delay(1.0) == delay(1.0) && delay(1.0) != delay(2.0));
        assert!(AnyKey::new(&7_u32) != AnyKey::new(&7_u64), "of another type");
        assert!(AnyKey::new(&()) == AnyKey::new(&()) && AnyKey::new(&()) != AnyKey::new(&0_u32));
        assert_eq!(AnyKey::new(&7_u32).get::<u32>(), Some(&7));
        assert_eq!(AnyKey::new(&7_u32).get::<u64>(), None);
        assert_eq!((AnyKey::new(&()).get::<()>(), AnyKey::new(&()).get::<u32>()), (Some(&()), None));
        assert_eq!(delay(0.5).get::<DelayKey>().map(|key| key.max_delay()), Some(0.5));
    }
}
