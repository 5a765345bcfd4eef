package bus

// ServiceAddress is the host and port at which services reach the bus: the port of
// the embedded server, or the external server that this process is connected to.
// It is empty where there is none.
func (b *Bus) ServiceAddress() string {
	if b.server != nil {
		if addr := b.Addr(); addr != nil {
			return addr.String()
		}
		return ""
	}
	return b.consuming.ConnectedAddr()
}
