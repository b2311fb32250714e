package target

// Limits is placeholder.
type Limits struct{}
