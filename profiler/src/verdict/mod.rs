//! 4. Use and blame -> who harms whom, and who is cleared. Pure, one file a resource.
