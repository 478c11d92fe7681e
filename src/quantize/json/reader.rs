//! Serde's view of a [`Lexer`]: as little as possible that is compiled for each type. A value is asked for as what it must be, so
//! a struct has code for an object alone, and what is common to all types is called, not inlined.
use super::JsonError;
use super::lexer::{Kind, Lexer, Number};
use serde::Deserialize;
use serde::de::value::StrDeserializer;
use serde::de::{DeserializeSeed, Deserializer, EnumAccess, Error, Expected, IntoDeserializer, MapAccess, SeqAccess, Unexpected};
use serde::de::{VariantAccess, Visitor};
use std::borrow::Cow;

type Result<T> = std::result::Result<T, JsonError>;

/// The value that is next.
pub(super) struct Value<'l, 'a>(pub &'l mut Lexer<'a>);

impl<'a> Value<'_, 'a> {
    /// The error of a value that is not what was expected; it is read as far as a message tells of it.
    #[cold]
    #[inline(never)]
    fn mismatch(self, expected: &dyn Expected) -> JsonError {
        let text;
        let kind = self.0.kind();
        let start = self.0.position();
        let unexpected = match kind {
            Err(error) => return error,
            Ok(Kind::Null) => Unexpected::Unit,
            Ok(Kind::True) => Unexpected::Bool(true),
            Ok(Kind::False) => Unexpected::Bool(false),
            Ok(Kind::List) => Unexpected::Seq,
            Ok(Kind::Object) => Unexpected::Map,
            Ok(Kind::Number) => match self.0.number() {
                Err(error) => return error,
                Ok(Number::Unsigned(number)) => Unexpected::Unsigned(number),
                Ok(Number::Negative(number)) => Unexpected::Signed(number),
                Ok(Number::Float(number)) => Unexpected::Float(number),
            },
            Ok(Kind::Text) => match self.0.string() {
                Err(error) => return error,
                Ok(string) => {
                    text = string;
                    Unexpected::Str(&text)
                }
            },
        };
        JsonError::invalid_type(unexpected, expected).at(start)
    }

    /// The text that is next, if it is one.
    #[inline(never)]
    fn text(&mut self) -> Result<Option<Cow<'a, str>>> {
        match self.0.kind()? {
            Kind::Text => self.0.string().map(Some),
            _ => Ok(None),
        }
    }

    #[inline(never)]
    fn number(&mut self) -> Result<Option<Number>> {
        match self.0.kind()? {
            Kind::Number => self.0.number().map(Some),
            _ => Ok(None),
        }
    }

    /// Goes into what is next if it is of that kind.
    #[inline(never)]
    fn opens(&mut self, kind: Kind) -> Result<bool> {
        Ok(self.0.kind()? == kind && self.0.open().map(|()| true)?)
    }
}

macro_rules! numbers {
    ($($method:ident)+) => {
        $(fn $method<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value> {
            match self.number()? {
                Some(Number::Unsigned(number)) => visitor.visit_u64(number),
                Some(Number::Negative(number)) => visitor.visit_i64(number),
                Some(Number::Float(number)) => visitor.visit_f64(number),
                None => Err(self.mismatch(&visitor)),
            }
        })+
    };
}

macro_rules! texts {
    ($($method:ident)+) => {
        $(fn $method<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value> {
            match self.text()? {
                Some(text) => visitor.visit_str(&text),
                None => Err(self.mismatch(&visitor)),
            }
        })+
    };
}

impl<'de> Deserializer<'de> for Value<'_, '_> {
    type Error = JsonError;

    numbers! { deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_f64 }

    texts! { deserialize_char deserialize_str deserialize_string deserialize_bytes deserialize_byte_buf deserialize_identifier }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.0.kind()? {
            Kind::Null => self.deserialize_unit(visitor),
            Kind::True | Kind::False => self.deserialize_bool(visitor),
            Kind::Number => self.deserialize_f64(visitor),
            Kind::Text => self.deserialize_str(visitor),
            Kind::List => self.deserialize_seq(visitor),
            Kind::Object => self.deserialize_map(visitor),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.0.kind()? {
            word @ (Kind::True | Kind::False) => self.0.word(word).and_then(|()| visitor.visit_bool(word == Kind::True)),
            _ => Err(self.mismatch(&visitor)),
        }
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.0.kind()? {
            Kind::Number => visitor.visit_f32(self.0.number_f32()?),
            _ => Err(self.mismatch(&visitor)),
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.0.kind()? {
            Kind::Null => self.0.word(Kind::Null).and_then(|()| visitor.visit_unit()),
            _ => Err(self.mismatch(&visitor)),
        }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _name: &'static str, visitor: V) -> Result<V::Value> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.0.kind()? {
            Kind::Null => self.0.word(Kind::Null).and_then(|()| visitor.visit_none()),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _name: &'static str, visitor: V) -> Result<V::Value> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value> {
        if !self.opens(Kind::List)? {
            return Err(self.mismatch(&visitor));
        }
        let mut list = Elements { lexer: self.0, next: 0, is_over: false };
        let value = visitor.visit_seq(&mut list)?;
        list.finish().map(|()| value)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(self, _name: &'static str, _len: usize, visitor: V) -> Result<V::Value> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value> {
        if !self.opens(Kind::Object)? {
            return Err(self.mismatch(&visitor));
        }
        let mut fields = Fields { lexer: self.0, key: Cow::Borrowed(""), is_first: true, is_over: false };
        let value = visitor.visit_map(&mut fields)?;
        fields.finish().map(|()| value)
    }

    fn deserialize_struct<V: Visitor<'de>>(self, _name: &'static str, _fields: &'static [&'static str], visitor: V) -> Result<V::Value> {
        self.deserialize_map(visitor)
    }

    /// `"variant"`, or `{"variant": content}`.
    fn deserialize_enum<V: Visitor<'de>>(
        mut self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        if let Some(name) = self.text()? {
            return visitor.visit_enum(Variant { lexer: self.0, name: &name, has_content: false });
        }
        if !self.opens(Kind::Object)? {
            return Err(self.mismatch(&visitor));
        }
        let mut fields = Fields { lexer: self.0, key: Cow::Borrowed(""), is_first: true, is_over: false };
        if !fields.read_key()? {
            return Err(JsonError::invalid_length(0, &"one variant"));
        }
        let variant = Variant { lexer: fields.lexer, name: &fields.key, has_content: true };
        let value = visitor.visit_enum(variant).map_err(|error| error.at(fields.lexer.position()).inside_key(&fields.key))?;
        fields.finish().map(|()| value)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.0.skip()?;
        visitor.visit_unit()
    }
}

struct Elements<'l, 'a> {
    lexer: &'l mut Lexer<'a>,
    next: usize,
    is_over: bool,
}

impl Elements<'_, '_> {
    #[inline(never)]
    fn follows(&mut self) -> Result<bool> {
        if self.is_over || !self.lexer.follows(self.next == 0, b']')? {
            self.is_over = true;
            return Ok(false);
        }
        self.next += 1;
        Ok(true)
    }

    /// Nothing may follow what was read.
    #[inline(never)]
    fn finish(mut self) -> Result<()> {
        if self.follows()? { Err(JsonError::invalid_length(self.next, &"fewer elements")) } else { Ok(()) }
    }
}

impl<'de> SeqAccess<'de> for Elements<'_, '_> {
    type Error = JsonError;

    #[inline(never)]
    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>> {
        if !self.follows()? {
            return Ok(None);
        }
        let value = seed.deserialize(Value(self.lexer));
        value.map(Some).map_err(|error| error.at(self.lexer.position()).inside_list(self.next - 1))
    }
}

struct Fields<'l, 'a> {
    lexer: &'l mut Lexer<'a>,
    /// Of the value that is next.
    key: Cow<'a, str>,
    is_first: bool,
    is_over: bool,
}

impl Fields<'_, '_> {
    /// Whether a key was read.
    #[inline(never)]
    fn read_key(&mut self) -> Result<bool> {
        if self.is_over || !self.lexer.follows(self.is_first, b'}')? {
            self.is_over = true;
            return Ok(false);
        }
        self.is_first = false;
        self.key = self.lexer.key()?;
        Ok(true)
    }

    /// Nothing may follow what was read.
    #[inline(never)]
    fn finish(mut self) -> Result<()> {
        self.is_first = false;
        if self.read_key()? { Err(JsonError::custom(format_args!("{:?} is one field too many", self.key))) } else { Ok(()) }
    }
}

impl<'de> MapAccess<'de> for Fields<'_, '_> {
    type Error = JsonError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>> {
        if !self.read_key()? {
            return Ok(None);
        }
        let key: StrDeserializer<'_, JsonError> = (&*self.key).into_deserializer();
        seed.deserialize(key).map(Some).map_err(|error| error.at(self.lexer.position()).inside_key(&self.key))
    }

    #[inline(never)]
    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value> {
        self.lexer.colon()?;
        seed.deserialize(Value(self.lexer)).map_err(|error| error.at(self.lexer.position()).inside_key(&self.key))
    }
}

/// The variant of an enum, and its content where it has any.
struct Variant<'l, 'a, 'n> {
    lexer: &'l mut Lexer<'a>,
    name: &'n str,
    has_content: bool,
}

impl<'de, 'l, 'a> EnumAccess<'de> for Variant<'l, 'a, '_> {
    type Error = JsonError;
    type Variant = Content<'l, 'a>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self::Variant)> {
        let name: StrDeserializer<'_, JsonError> = self.name.into_deserializer();
        let variant = seed.deserialize(name)?;
        if !self.has_content {
            return Ok((variant, Content(None)));
        }
        self.lexer.colon()?;
        Ok((variant, Content(Some(self.lexer))))
    }
}

struct Content<'l, 'a>(Option<&'l mut Lexer<'a>>);

impl<'l, 'a> Content<'l, 'a> {
    #[inline(never)]
    fn value(self) -> Result<Value<'l, 'a>> {
        self.0.map(Value).ok_or_else(|| JsonError::custom("the variant needs a content"))
    }
}

impl<'de> VariantAccess<'de> for Content<'_, '_> {
    type Error = JsonError;

    fn unit_variant(self) -> Result<()> {
        self.0.map_or(Ok(()), |lexer| Deserialize::deserialize(Value(lexer)))
    }

    #[inline(never)]
    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value> {
        seed.deserialize(self.value()?)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value> {
        self.value()?.deserialize_seq(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(self, _fields: &'static [&'static str], visitor: V) -> Result<V::Value> {
        self.value()?.deserialize_map(visitor)
    }
}
