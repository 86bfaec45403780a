package unwind

import (
	"errors"
	"fmt"
)

// Call frame instructions (DWARF 5 chapter 7.24, and vendors' extensions). The
// first three have an operand in their low bits.
const (
	cfaAdvanceLoc = 1
	cfaOffset     = 2
	cfaRestore    = 3

	cfaNop              = 0x00
	cfaSetLoc           = 0x01
	cfaAdvanceLoc1      = 0x02
	cfaAdvanceLoc2      = 0x03
	cfaAdvanceLoc4      = 0x04
	cfaOffsetExtended   = 0x05
	cfaRestoreExtended  = 0x06
	cfaUndefined        = 0x07
	cfaSameValue        = 0x08
	cfaRegister         = 0x09
	cfaRememberState    = 0x0a
	cfaRestoreState     = 0x0b
	cfaDefCFA           = 0x0c
	cfaDefCFARegister   = 0x0d
	cfaDefCFAOffset     = 0x0e
	cfaDefCFAExpression = 0x0f
	cfaExpression       = 0x10
	cfaOffsetExtendedSF = 0x11
	cfaDefCFASF         = 0x12
	cfaDefCFAOffsetSF   = 0x13
	cfaValOffset        = 0x14
	cfaValOffsetSF      = 0x15
	cfaValExpression    = 0x16
	cfaMIPSAdvanceLoc8  = 0x1d
	// With the program counter as modifier; as cfaNegateRAState.
	cfaNegateRAStatePC = 0x2c
	// DW_CFA_GNU_window_save elsewhere; on AArch64 it says that the return address
	// is signed from here on or no longer.
	cfaNegateRAState      = 0x2d
	cfaGNUArgsSize        = 0x2e
	cfaGNUNegativeOffsetX = 0x2f
)

// maxRemembered bounds the nesting of remember_state. Compilers need one or two.
const maxRemembered = 32

var (
	errCut      = errors.New("cut off")
	errRemember = fmt.Errorf("remember_state nested more than %d deep", maxRemembered)
	errRestore  = errors.New("restore_state without remember_state")
	errBackward = errors.New("set_loc goes backwards")
)

// machine interprets call frame instructions.
type machine struct {
	arch  *arch
	bases *bases
	out   *writer
	stack [maxRemembered]state
}

// run interprets code, which begins at offset off of its section, from state s,
// and writes rows for addresses from pc to limit. Without limit it writes
// nothing: that is how the initial instructions of a CIE are run. It returns the
// address that was reached.
func (m *machine) run(code []byte, off uint64, ci *cie, s *state, pc, limit uint64) (uint64, error) {
	c := cursor{b: code}
	depth := 0
	dirty := true
	for c.i < len(c.b) {
		op := c.u8()
		var next uint64
		switch op >> 6 {
		case cfaAdvanceLoc:
			next = pc + uint64(op&0x3f)*ci.codeAlign
		case cfaOffset:
			dirty = m.saved(s, ci, uint64(op&0x3f), int64(c.uleb())*ci.dataAlign) || dirty
			continue
		case cfaRestore:
			dirty = m.restore(s, ci, uint64(op&0x3f)) || dirty
			continue
		default:
			switch op {
			case cfaNop, cfaNegateRAState, cfaNegateRAStatePC:
				continue
			case cfaDefCFAOffset:
				s.setCFAOff(int64(c.uleb()))
				dirty = true
				continue
			case cfaAdvanceLoc1:
				next = pc + uint64(c.u8())*ci.codeAlign
			case cfaAdvanceLoc2:
				next = pc + uint64(c.u16())*ci.codeAlign
			case cfaAdvanceLoc4:
				next = pc + uint64(c.u32())*ci.codeAlign
			case cfaMIPSAdvanceLoc8:
				next = pc + c.u64()*ci.codeAlign
			case cfaSetLoc:
				v, err := c.pointer(ci.enc, m.bases, off)
				if err != nil {
					return pc, fmt.Errorf("set_loc: %w", err)
				}
				next = v
			case cfaRememberState:
				if depth == maxRemembered {
					return pc, errRemember
				}
				m.stack[depth] = *s
				depth++
				continue
			case cfaRestoreState:
				if depth == 0 {
					return pc, errRestore
				}
				depth--
				*s, dirty = m.stack[depth], true
				continue
			default:
				if err := m.define(op, &c, s, ci); err != nil {
					return pc, err
				}
				dirty = true
				continue
			}
		}
		if c.bad {
			return pc, errCut
		}
		if next < pc {
			return pc, errBackward
		}
		if dirty && limit > pc {
			m.out.row(pc, m.out.id(s, m.arch))
			dirty = false
		}
		if next >= limit && limit != 0 {
			return limit, nil
		}
		pc = next
	}
	if c.bad {
		return pc, errCut
	}
	if dirty && limit > pc {
		m.out.row(pc, m.out.id(s, m.arch))
	}
	return limit, nil
}

// saved handles a register that is saved at an offset from the CFA. It returns
// whether the register is one that is followed.
func (m *machine) saved(s *state, ci *cie, reg uint64, off int64) bool {
	switch reg {
	case uint64(m.arch.fp):
		s.setFP(FPAtCFA, off)
	case ci.ra:
		s.setRA(raAtCFA, off)
	default:
		return false
	}
	return true
}

// restore sets a register back to what the CIE says of it.
func (m *machine) restore(s *state, ci *cie, reg uint64) bool {
	switch reg {
	case uint64(m.arch.fp):
		s.restoreFP(&ci.initial)
	case ci.ra:
		s.restoreRA(&ci.initial)
	default:
		return false
	}
	return true
}

// lost handles a register whose value cannot be had.
func (m *machine) lost(s *state, ci *cie, reg uint64, ra uint8) {
	switch reg {
	case uint64(m.arch.fp):
		s.setFP(FPUndefined, 0)
	case ci.ra:
		s.setRA(ra, 0)
	}
}

// define handles the less frequent instructions.
func (m *machine) define(op byte, c *cursor, s *state, ci *cie) error {
	switch op {
	case cfaDefCFA:
		reg := c.uleb()
		s.setCFAReg(reg, m.arch)
		s.setCFAOff(int64(c.uleb()))
	case cfaDefCFASF:
		reg := c.uleb()
		s.setCFAReg(reg, m.arch)
		s.setCFAOff(c.sleb() * ci.dataAlign)
	case cfaDefCFARegister:
		s.setCFAReg(c.uleb(), m.arch)
	case cfaDefCFAOffsetSF:
		s.setCFAOff(c.sleb() * ci.dataAlign)
	case cfaDefCFAExpression:
		s.setCFAExpr(c.take(c.uleb()), m.arch)
	case cfaOffsetExtended:
		reg := c.uleb()
		m.saved(s, ci, reg, int64(c.uleb())*ci.dataAlign)
	case cfaOffsetExtendedSF:
		reg := c.uleb()
		m.saved(s, ci, reg, c.sleb()*ci.dataAlign)
	case cfaGNUNegativeOffsetX:
		reg := c.uleb()
		m.saved(s, ci, reg, -int64(c.uleb())*ci.dataAlign)
	case cfaRestoreExtended:
		m.restore(s, ci, c.uleb())
	case cfaUndefined:
		m.lost(s, ci, c.uleb(), raUndefined)
	case cfaSameValue:
		switch reg := c.uleb(); reg {
		case uint64(m.arch.fp):
			s.setFP(FPSame, 0)
		case ci.ra:
			s.setRA(raSame, 0)
		}
	case cfaRegister:
		reg := c.uleb()
		c.uleb()
		m.lost(s, ci, reg, raOther)
	case cfaValOffset:
		reg := c.uleb()
		c.uleb()
		m.lost(s, ci, reg, raOther)
	case cfaValOffsetSF:
		reg := c.uleb()
		c.sleb()
		m.lost(s, ci, reg, raOther)
	case cfaExpression:
		reg := c.uleb()
		e := c.take(c.uleb())
		if reg == uint64(m.arch.fp) {
			s.setFPExpr(e, m.arch)
		} else {
			m.lost(s, ci, reg, raOther)
		}
	case cfaValExpression:
		reg := c.uleb()
		c.take(c.uleb())
		m.lost(s, ci, reg, raOther)
	case cfaGNUArgsSize:
		c.uleb()
	default:
		return fmt.Errorf("instruction %#x is unknown", op)
	}
	if c.bad {
		return errCut
	}
	return nil
}
