//! `dunnage demo`: a victim, a culprit and a bystander, and the verdict beside the truth.
