package cli

import (
	"errors"
	"net/netip"
	"reflect"

	"github.com/alecthomas/kong"
)

// readNetwork reads a network, or an address, which is a network of its own.
func readNetwork(ctx *kong.DecodeContext, target reflect.Value) error {
	var text string
	if err := ctx.Scan.PopValueInto("network", &text); err != nil {
		return err
	}
	network, err := netip.ParsePrefix(text)
	if err != nil {
		addr, notOne := netip.ParseAddr(text)
		if notOne != nil || addr.Zone() != "" {
			return errors.New("must be a network such as 10.0.0.0/8 or an address")
		}
		network = netip.PrefixFrom(addr, addr.BitLen())
	}
	target.Set(reflect.ValueOf(network))
	return nil
}
