//! Files that are well-formed and claim what is not so: each claim is refused before it is followed.

use arrow_buffer::Buffer;
use arrow_ipc::{
    Block, BodyCompression, BodyCompressionArgs, Buffer as Piece, CompressionType, FieldNode, Footer,
    FooterArgs, Message, MessageArgs, MessageHeader, MetadataVersion, RecordBatch, RecordBatchArgs,
};
use arrow_schema::{DataType, Field, Schema};
use flatbuffers::FlatBufferBuilder;
use nexa_records::RecordError;

use crate::written::{Folder, read_all};

/// One batch of one column, with every claim open to a lie.
struct Claims {
    data_type: DataType,
    rows: i64,
    nodes: Vec<(i64, i64)>,
    buffers: Vec<(i64, i64)>,
    body: Vec<u8>,
    compression: Option<CompressionType>,
    version: MetadataVersion,
    /// Alters the footer's block, which tells the truth until then.
    block: fn(&Block) -> Block,
    /// How often the footer lists the block.
    copies: usize,
    footer_bytes: fn(i32) -> i32,
}

impl Claims {
    /// Four rows of 32-bit integers, all true.
    fn truth() -> Self {
        Self {
            data_type: DataType::Int32,
            rows: 4,
            nodes: vec![(4, 0)],
            buffers: vec![(0, 0), (0, 16)],
            body: (0..64).collect(),
            compression: None,
            version: MetadataVersion::V5,
            block: |block| *block,
            copies: 1,
            footer_bytes: |bytes| bytes,
        }
    }

    fn file(&self) -> Vec<u8> {
        let mut bytes = b"ARROW1\0\0".to_vec();
        let message = self.message();
        let metadata = (message.len() + 8).next_multiple_of(8);
        bytes.extend([0xff; 4]);
        bytes.extend(((metadata - 8) as i32).to_le_bytes());
        bytes.extend(&message);
        bytes.resize(8 + metadata, 0);
        bytes.extend(&self.body);
        let block = (self.block)(&Block::new(8, metadata as i32, self.body.len() as i64));
        let footer = self.footer(&vec![block; self.copies]);
        bytes.extend(&footer);
        bytes.extend((self.footer_bytes)(footer.len() as i32).to_le_bytes());
        bytes.extend(b"ARROW1");
        bytes
    }

    fn message(&self) -> Vec<u8> {
        let mut builder = FlatBufferBuilder::new();
        let nodes: Vec<_> =
            self.nodes.iter().map(|(length, nulls)| FieldNode::new(*length, *nulls)).collect();
        let buffers: Vec<_> =
            self.buffers.iter().map(|(offset, length)| Piece::new(*offset, *length)).collect();
        let nodes = builder.create_vector(&nodes);
        let buffers = builder.create_vector(&buffers);
        let compression = self.compression.map(|codec| {
            BodyCompression::create(&mut builder, &BodyCompressionArgs { codec, ..Default::default() })
        });
        let batch = RecordBatch::create(
            &mut builder,
            &RecordBatchArgs {
                length: self.rows,
                nodes: Some(nodes),
                buffers: Some(buffers),
                compression,
                ..Default::default()
            },
        );
        let message = Message::create(
            &mut builder,
            &MessageArgs {
                version: self.version,
                header_type: MessageHeader::RecordBatch,
                header: Some(batch.as_union_value()),
                bodyLength: self.body.len() as i64,
                custom_metadata: None,
            },
        );
        builder.finish(message, None);
        builder.finished_data().to_vec()
    }

    fn footer(&self, blocks: &[Block]) -> Vec<u8> {
        let mut builder = FlatBufferBuilder::new();
        let schema = Schema::new(vec![Field::new("x", self.data_type.clone(), true)]);
        let schema = arrow_ipc::convert::schema_to_fb_offset(&mut builder, &schema);
        let dictionaries = builder.create_vector::<Block>(&[]);
        let blocks = builder.create_vector(blocks);
        let args = FooterArgs {
            version: self.version,
            schema: Some(schema),
            dictionaries: Some(dictionaries),
            recordBatches: Some(blocks),
            custom_metadata: None,
        };
        let footer = Footer::create(&mut builder, &args);
        builder.finish(footer, None);
        builder.finished_data().to_vec()
    }

    /// Read the file, which must be refused by a check of ours and not by a panic of the decoder.
    #[track_caller]
    fn refused(&self, because: &str) {
        let folder = Folder::new();
        let error = read_all(&folder.put("lie.arrow", &self.file())).unwrap_err();
        assert!(matches!(error, RecordError::Corrupt { .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains(because) && !text.contains("gave up"), "{text}");
    }
}

#[test]
fn the_truth_is_read() {
    let folder = Folder::new();
    assert_eq!(read_all(&folder.put("true.arrow", &Claims::truth().file())).unwrap(), 4);
}

#[test]
fn blocks_outside_the_file_are_refused() {
    let lies: [fn(&Block) -> Block; 8] = [
        |block| Block::new(i64::MAX, block.metaDataLength(), block.bodyLength()),
        |block| Block::new(-8, block.metaDataLength(), block.bodyLength()),
        |block| Block::new(0, block.metaDataLength(), block.bodyLength()),
        |block| Block::new(8, -1, block.bodyLength()),
        |block| Block::new(8, 4, block.bodyLength()),
        |block| Block::new(8, block.metaDataLength(), i64::MAX),
        |block| Block::new(8, block.metaDataLength(), -1),
        |block| Block::new(8, i32::MAX, block.bodyLength()),
    ];
    for block in lies {
        Claims { block, ..Claims::truth() }.refused("its footer claims a block");
    }
    Claims { copies: 2, ..Claims::truth() }.refused("overlap");
}

#[test]
fn footers_of_impossible_length_are_refused() {
    let lies: [fn(i32) -> i32; 5] = [|_| i32::MAX, |_| i32::MIN, |_| -1, |_| 0, |bytes| bytes + 1_000_000];
    for footer_bytes in lies {
        Claims { footer_bytes, ..Claims::truth() }.refused("it claims a footer");
    }
}

#[test]
fn buffers_outside_their_body_are_refused() {
    for lie in [(0, 65), (64, 1), (-1, 16), (0, -1), (i64::MAX, 16), (8, i64::MAX)] {
        Claims { buffers: vec![(0, 0), lie], ..Claims::truth() }.refused("a buffer claims");
    }
    Claims { buffers: vec![(0, 60), (0, 60)], ..Claims::truth() }.refused("overlap");
    Claims { buffers: vec![(0, 0)], ..Claims::truth() }.refused("corrupt");
}

#[test]
fn impossible_counts_are_refused() {
    for (rows, node) in
        [(-1, (4, 0)), (i64::MAX, (4, 0)), (4, (-4, 0)), (4, (i64::MAX, 0)), (4, (4, -1)), (4, (4, 5))]
    {
        Claims { rows, nodes: vec![node], ..Claims::truth() }.refused("claims");
    }
    Claims { nodes: vec![(1_000_000, 0)], ..Claims::truth() }.refused("bytes");
    Claims { rows: 5, ..Claims::truth() }.refused("corrupt");
    Claims { nodes: Vec::new(), ..Claims::truth() }.refused("corrupt");
}

#[test]
fn types_without_bytes_cannot_claim_any_number_of_rows() {
    let null = || Claims { data_type: DataType::Null, buffers: Vec::new(), ..Claims::truth() };
    Claims { rows: 1 << 60, nodes: vec![(1 << 60, 1 << 60)], ..null() }.refused("claims");
}

#[test]
fn bombs_are_refused_before_memory_is_asked_for() {
    for codec in [CompressionType::LZ4_FRAME, CompressionType::ZSTD] {
        for claim in [i64::MAX, i64::MIN, -2, 1 << 40] {
            let mut body = claim.to_le_bytes().to_vec();
            body.resize(64, 0);
            let buffers = vec![(0, 0), (0, 64)];
            Claims { buffers, body, compression: Some(codec), ..Claims::truth() }.refused("claim");
        }
        let body = vec![0; 64];
        Claims { buffers: vec![(0, 0), (0, 7)], body, compression: Some(codec), ..Claims::truth() }
            .refused("too short");
    }
    // Within what the codec could do, and still more than any batch has.
    let mut body = (5i64 << 30).to_le_bytes().to_vec();
    body.resize(1 << 20, 0);
    let buffers = vec![(0, 0), (0, 1 << 20)];
    Claims { buffers, body, compression: Some(CompressionType::ZSTD), ..Claims::truth() }
        .refused("smaller batches");
}

#[test]
fn strange_codecs_and_versions_are_refused() {
    Claims { compression: Some(CompressionType(99)), ..Claims::truth() }.refused("corrupt");
    Claims { version: MetadataVersion::V1, ..Claims::truth() }.refused("V1");
    Claims { version: MetadataVersion(1000), ..Claims::truth() }.refused("1000");
}

#[test]
fn impossible_types_are_refused() {
    let item = || Field::new("item", DataType::Int32, true).into();
    for (data_type, nodes) in [
        (DataType::FixedSizeList(item(), -1), vec![(4, 0), (4, 0)]),
        (DataType::FixedSizeList(item(), i32::MAX), vec![(4, 0), (4, 0)]),
        (DataType::FixedSizeBinary(-1), vec![(4, 0)]),
        (DataType::FixedSizeBinary(i32::MAX), vec![(4, 0)]),
    ] {
        let folder = Folder::new();
        let buffers = vec![(0, 0), (0, 0), (0, 16)];
        let file = Claims { data_type, nodes, buffers, ..Claims::truth() }.file();
        let error = read_all(&folder.put("lie.arrow", &file)).unwrap_err();
        assert!(matches!(error, RecordError::Corrupt { .. }), "{error}");
    }
}

#[test]
fn misaligned_buffers_are_copied_into_place() {
    let mut body = vec![0; 3];
    body.extend(Buffer::from_slice_ref([1i32, 2, 3, 4]).as_slice());
    let folder = Folder::new();
    let file = Claims { buffers: vec![(0, 0), (3, 16)], body, ..Claims::truth() }.file();
    let shard = nexa_records::Shard::open(&folder.put("odd.arrow", &file)).unwrap();
    let batch = shard.batch(0).unwrap();
    let column = nexa_records::fixed_column(batch.column(0), shard.schema().field(0), shard.path()).unwrap();
    assert_eq!(column.values.typed_data::<i32>(), [1, 2, 3, 4]);
}
