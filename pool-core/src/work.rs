//! How much housekeeping one call may do: [`WorkLimit`].

/// A bound on one slice of housekeeping. A number of objects is one: `pool.maintain(16)`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WorkLimit {
    /// Most objects to look at, for each kind of work.
    pub objects: usize,
    /// Bytes of objects after whose destruction the slice ends: giving back memory takes the longer the more it is. The
    /// last object may pass it, so that one larger than the bound goes as well.
    pub bytes: usize,
}

impl WorkLimit {
    /// No bound.
    pub const NONE: Self = Self { objects: usize::MAX, bytes: usize::MAX };

    /// Whether the slice ends here.
    pub(crate) fn is_reached(self) -> bool {
        self.objects == 0 || self.bytes == 0
    }

    /// Takes away an object of so many bytes.
    pub(crate) fn spend(&mut self, bytes: usize) {
        // No bound stays none.
        if self.objects != usize::MAX {
            self.objects = self.objects.saturating_sub(1);
        }
        if self.bytes != usize::MAX {
            self.bytes = self.bytes.saturating_sub(bytes);
        }
    }
}

impl From<usize> for WorkLimit {
    fn from(objects: usize) -> Self {
        Self { objects, ..Self::NONE }
    }
}
